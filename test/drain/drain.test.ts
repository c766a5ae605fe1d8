import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import {
  deadline,
  initial,
  step,
  type DrainEffect,
  type DrainEvent,
  type DrainState,
} from '../../src/drain/drain.ts';
import { instant } from '../../src/std/time.ts';

type Phase = DrainState['phase'];

const notice: DrainEvent = { type: 'drain', reason: 'interruption', remainingMs: 20_000 };
const busy: DrainEvent = { type: 'load', generations: 3, relays: 2 };
const idle: DrainEvent = { type: 'load', generations: 0, relays: 0 };

/** Runs events at their instants; returns the end state and every effect with its time. */
function run(script: readonly (readonly [at: number, event: DrainEvent])[], from: DrainState = initial) {
  let state = from;
  const effects: { at: number; effect: DrainEffect }[] = [];
  for (const [at, event] of script) {
    const [next, produced] = step(state, event, instant(at));
    state = next;
    effects.push(...produced.map((effect) => ({ at, effect })));
  }
  const kinds = effects.filter(({ effect }) => effect.type !== 'fact').map(({ effect }) => effect.type);
  return { state, effects, kinds };
}

const at: Record<Phase, DrainState> = {
  open: initial,
  draining: run([[0, notice]]).state,
  leaving: run([
    [0, notice],
    [1, idle],
  ]).state,
  left: run([
    [0, notice],
    [1, idle],
    [2, { type: 'engine.stopped' }],
    [3, { type: 'goodbye.said' }],
  ]).state,
};

const events: Record<DrainEvent['type'], DrainEvent> = {
  drain: notice,
  load: idle,
  'engine.stopped': { type: 'engine.stopped' },
  'goodbye.said': { type: 'goodbye.said' },
  tick: { type: 'tick' },
};

const table: Record<Phase, Record<DrainEvent['type'], Phase>> = {
  open: { drain: 'draining', load: 'open', 'engine.stopped': 'open', 'goodbye.said': 'open', tick: 'open' },
  draining: {
    drain: 'draining',
    load: 'leaving',
    'engine.stopped': 'draining',
    'goodbye.said': 'draining',
    tick: 'draining',
  },
  leaving: {
    drain: 'leaving',
    load: 'leaving',
    'engine.stopped': 'leaving',
    'goodbye.said': 'leaving',
    tick: 'leaving',
  },
  left: { drain: 'left', load: 'left', 'engine.stopped': 'left', 'goodbye.said': 'left', tick: 'left' },
};

for (const [phase, row] of Object.entries(table) as [Phase, (typeof table)[Phase]][]) {
  for (const [type, outcome] of Object.entries(row) as [DrainEvent['type'], Phase][]) {
    test(`${phase} + ${type} → ${outcome}`, () => {
      equal(step(at[phase], events[type], instant(100))[0].phase, outcome);
    });
  }
}

test('[D1] a second cause never postpones the end, and an earlier deadline brings it forward', () => {
  const later = run([
    [0, notice],
    [100, { type: 'drain', reason: 'signal', remainingMs: 90_000 }],
  ]);
  deepEqual(later.kinds, ['announce']);
  equal(deadline(later.state), 15_000);
  const sooner = run([
    [0, notice],
    [100, { type: 'drain', reason: 'signal', remainingMs: 8_000 }],
  ]);
  deepEqual(sooner.kinds, ['announce', 'announce']);
  equal(deadline(sooner.state), 6_100);
});

test('[D1] the same notice again changes nothing', () => {
  const repeated = run([
    [0, notice],
    [5_000, { ...notice, remainingMs: 15_000 }],
    [9_000, { ...notice, remainingMs: 11_000 }],
  ]);
  deepEqual(repeated.kinds, ['announce']);
});

test('[D2] peers are told before anything is cut or stopped', () => {
  const { kinds } = run([
    [0, notice],
    [10, busy],
    [15_000, { type: 'tick' }],
  ]);
  deepEqual(kinds, ['announce', 'cut-relays', 'stop-engine', 'say-goodbye']);
});

test('[D3] an empty node leaves at once; one that still relays clients goes on relaying', () => {
  equal(
    run([
      [0, notice],
      [700, idle],
    ]).state.phase,
    'leaving',
  );
  const relaying = run([
    [0, notice],
    [700, { type: 'load', generations: 0, relays: 4 }],
  ]);
  equal(relaying.state.phase, 'draining');
  ok(relaying.effects.some(({ effect }) => effect.type === 'fact' && effect.fact.fact === 'drain.empty'));
});

for (const remainingMs of [0, 400, 1_000, 2_000, 20_000, 120_000]) {
  test(`[D4] everything fits into a notice of ${remainingMs} ms, or into a second, when nothing ever gets empty or answers`, () => {
    let state: DrainState = initial;
    let now = instant(0);
    let exitAt = Infinity;
    const perform = (event: DrainEvent): void => {
      const [next, effects] = step(state, event, now);
      state = next;
      if (effects.some((effect) => effect.type === 'exit')) exitAt = now;
    };
    perform({ type: 'drain', reason: 'interruption', remainingMs });
    for (let wakes = 0; wakes < 10 && state.phase !== 'left'; wakes++) {
      now = deadline(state);
      perform({ type: 'tick' });
    }
    ok(exitAt <= Math.max(remainingMs, 1_000), `exit at ${exitAt}`);
  });
}

test('[D5] the exit waits for both answers, and no longer than the reserve', () => {
  const both: [number, DrainEvent][] = [
    [0, notice],
    [100, idle],
    [150, { type: 'goodbye.said' }],
  ];
  equal(run(both).state.phase, 'leaving');
  equal(run([...both, [900, { type: 'engine.stopped' }]]).state.phase, 'left');
  const silent = run([...both, [3_100, { type: 'tick' }]]);
  equal(silent.state.phase, 'left');
  const left = silent.effects.at(-2)?.effect;
  ok(left?.type === 'fact' && left.fact.fact === 'drain.left' && !left.fact.clean);
});

test('[D6] a deadline that has passed leaves at once, with a second for the engine and the goodbye', () => {
  const leaving = run([
    [50, { ...notice, remainingMs: 0 }],
    [50, { type: 'tick' }],
    [50, { type: 'tick' }],
  ]);
  deepEqual(leaving.kinds, ['announce', 'cut-relays', 'stop-engine', 'say-goodbye']);
  const shares = leaving.effects.flatMap(({ effect }) => ('withinMs' in effect ? [effect.withinMs] : []));
  deepEqual(shares, [1_000, 1_000]);
  const answered = run(
    [
      [60, { type: 'engine.stopped' }],
      [70, { type: 'goodbye.said' }],
    ],
    leaving.state,
  );
  deepEqual(answered.kinds, ['exit']);
  deepEqual(run([[1_050, { type: 'tick' }]], leaving.state).kinds, ['exit']);
});

test('[D7] answers before their question and after the end change nothing', () => {
  deepEqual(
    run([
      [0, { type: 'engine.stopped' }],
      [1, { type: 'goodbye.said' }],
    ]).kinds,
    [],
  );
  deepEqual(step(at.left, { type: 'goodbye.said' }, instant(9))[1], []);
});

test('[D8] what still runs when time is up is said, whoever holds its client and whoever notices first', () => {
  for (const load of [
    { generations: 3, relays: 0 },
    { generations: 3, relays: 2 },
    { generations: 0, relays: 2 },
  ])
    for (const end of [{ type: 'tick' }, { type: 'load', ...load }] as const) {
      const { effects } = run([
        [0, notice],
        [10, { type: 'load', ...load }],
        [15_000, end],
      ]);
      const last = effects.filter(({ at }) => at === 15_000).map(({ effect }) => effect);
      deepEqual(last[0], { type: 'fact', fact: { fact: 'drain.overdue', ...load } });
      deepEqual(
        last.slice(1).map(({ type }) => type),
        ['cut-relays', 'stop-engine', 'say-goodbye'],
      );
    }
});

test('[D8] a drain that ends empty, and one of which nobody told what runs, are not overdue', () => {
  for (const told of [[[700, idle]], []] as const) {
    const { effects } = run([[0, notice], ...told, [15_000, { type: 'tick' }]]);
    ok(effects.every(({ effect }) => effect.type !== 'fact' || effect.fact.fact !== 'drain.overdue'));
  }
});
