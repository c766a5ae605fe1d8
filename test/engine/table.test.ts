import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { unchecked } from '../../src/engine/checking.ts';
import { unseen } from '../../src/engine/liveness.ts';
import type { Event } from '../../src/engine/orders.ts';
import { defaults, type Stage, type State } from '../../src/engine/stage.ts';
import { init, supervision } from '../../src/engine/supervision.ts';
import { noAbility } from '../../src/std/ability.ts';
import { instant, never } from '../../src/std/time.ts';
import { model, reading } from './world.ts';

type Phase = Stage['phase'];

const now = instant(1_000);
const due = instant(900);
const life = 7;

/** Every phase with its deadline passed, so that a tick has something to do. */
const stages: { readonly [P in Phase]: Stage } = {
  absent: { phase: 'absent' },
  adopting: { phase: 'adopting', until: due },
  starting: { phase: 'starting', since: instant(0), until: due, probeAt: due },
  warming: { phase: 'warming', since: instant(0), until: due, models: [model] },
  ready: {
    phase: 'ready',
    models: [model],
    ability: noAbility,
    sampleAt: due,
    asked: false,
    load: null,
    liveness: unseen(due),
    checking: unchecked,
  },
  stopping: { phase: 'stopping', terminateAt: never, killAt: due, until: instant(5_000) },
  clearing: { phase: 'clearing', until: due, then: 'rest' },
  backoff: { phase: 'backoff', until: due },
  exhausted: { phase: 'exhausted', until: due },
};

const events: { readonly [T in Event['type']]: Event } = {
  start: { type: 'start' },
  stop: { type: 'stop', withinMs: 3_000, graceful: true },
  'streams.cut': { type: 'streams.cut' },
  adopted: { type: 'adopted', life, pid: 1 },
  'adopt.none': { type: 'adopt.none', life },
  spawned: { type: 'spawned', life, pid: 1 },
  'spawn.failed': { type: 'spawn.failed', life, cause: 'no such file' },
  probed: { type: 'probed', life, healthy: true, models: [model] },
  warmed: { type: 'warmed', life, ability: noAbility },
  'warm.failed': { type: 'warm.failed', life, cause: '500' },
  sampled: { type: 'sampled', life, metrics: reading() },
  'sample.failed': { type: 'sample.failed', life, cause: 'timeout' },
  erred: { type: 'erred' },
  checked: { type: 'checked', life, isDead: true, cause: null },
  exited: { type: 'exited', life, code: 0, signal: null, cause: null },
  swept: { type: 'swept', life, left: 0 },
  tick: { type: 'tick' },
};

const same = (phase: Phase): Record<Event['type'], Phase> => ({
  start: phase,
  stop: phase,
  'streams.cut': phase,
  adopted: phase,
  'adopt.none': phase,
  spawned: phase,
  'spawn.failed': phase,
  probed: phase,
  warmed: phase,
  'warm.failed': phase,
  sampled: phase,
  'sample.failed': phase,
  erred: phase,
  checked: phase,
  exited: phase,
  swept: phase,
  tick: phase,
});

/** What changes the phase; everything else leaves it, which is tested too. Total over the phases by its type. */
const table: Record<Phase, Record<Event['type'], Phase>> = {
  absent: { ...same('absent'), start: 'adopting' },
  adopting: {
    ...same('adopting'),
    stop: 'clearing',
    adopted: 'starting',
    'adopt.none': 'clearing',
    tick: 'clearing',
  },
  starting: {
    ...same('starting'),
    stop: 'clearing',
    'spawn.failed': 'clearing',
    probed: 'warming',
    exited: 'clearing',
    tick: 'clearing',
  },
  warming: {
    ...same('warming'),
    stop: 'clearing',
    warmed: 'ready',
    'warm.failed': 'starting',
    exited: 'clearing',
    tick: 'clearing',
  },
  ready: { ...same('ready'), stop: 'stopping', checked: 'clearing', exited: 'clearing' },
  stopping: { ...same('stopping'), exited: 'clearing', tick: 'clearing' },
  clearing: { ...same('clearing'), swept: 'backoff', tick: 'backoff' },
  backoff: { ...same('backoff'), stop: 'absent', tick: 'starting' },
  exhausted: { ...same('exhausted'), stop: 'absent', tick: 'starting' },
};

const within = (stage: Stage): State => ({
  ...init(defaults, { seed: 1 }),
  stage,
  life,
  failures: [instant(0)],
});

for (const [phase, row] of Object.entries(table) as [Phase, (typeof table)[Phase]][]) {
  for (const [type, outcome] of Object.entries(row) as [Event['type'], Phase][]) {
    test(`${phase} + ${type} → ${outcome}`, () => {
      equal(supervision.step(within(stages[phase]), events[type], now)[0].stage.phase, outcome);
    });
  }
}

test('[E10] an answer about an earlier engine changes nothing, whatever the phase', () => {
  for (const stage of Object.values(stages)) {
    for (const event of Object.values(events)) {
      if (!('life' in event)) continue;
      const state = within(stage);
      deepEqual(supervision.step(state, { ...event, life: life - 1 }, now), [state, []]);
    }
  }
});

test('[E10] a tick before the deadline changes nothing, whatever the phase', () => {
  for (const stage of Object.values(stages)) {
    const state = within(stage);
    deepEqual(supervision.step(state, events.tick, instant(0)), [state, []]);
  }
});
