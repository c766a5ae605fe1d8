/** What holds for any order of events: random walks from many seeds, with a host that answers late, twice or never. */
import { deepEqual, ok } from 'node:assert/strict';
import { test } from 'node:test';
import type { Effect, Event } from '../../src/engine/orders.ts';
import { defaults, type State } from '../../src/engine/stage.ts';
import { init, supervision } from '../../src/engine/supervision.ts';
import { noAbility } from '../../src/std/ability.ts';
import { draw, type Rng } from '../../src/std/random.ts';
import { type Instant, instant } from '../../src/std/time.ts';
import { model, reading } from './world.ts';

type Walked = {
  readonly state: State;
  readonly event: Event;
  readonly effects: readonly Effect[];
  readonly at: Instant;
};

/** Kinds of event, drawn with the life of now or of an earlier engine. */
const kinds: readonly ((life: number, n: number) => Event)[] = [
  () => ({ type: 'start' }),
  (_, n) => ({ type: 'stop', withinMs: n * 100, graceful: n % 2 === 0 }),
  () => ({ type: 'streams.cut' }),
  (life) => ({ type: 'adopted', life, pid: 9 }),
  (life) => ({ type: 'adopt.none', life }),
  (life) => ({ type: 'spawned', life, pid: 9 }),
  (life) => ({ type: 'spawn.failed', life, cause: 'x' }),
  (life, n) => ({ type: 'probed', life, healthy: n % 3 > 0, models: n % 4 > 0 ? [model] : [] }),
  (life) => ({ type: 'warmed', life, ability: noAbility }),
  (life) => ({ type: 'warm.failed', life, cause: 'x' }),
  (life, n) => ({ type: 'sampled', life, metrics: reading({ running: n % 3, generationTokens: n }) }),
  (life) => ({ type: 'sample.failed', life, cause: 'x' }),
  () => ({ type: 'erred' }),
  (life, n) => ({ type: 'checked', life, isDead: n % 10 === 0, cause: null }),
  (life) => ({ type: 'exited', life, code: 0, signal: null, cause: null }),
  (life, n) => ({ type: 'swept', life, left: n % 5 === 0 ? 1 : 0 }),
  () => ({ type: 'tick' }),
  () => ({ type: 'tick' }),
];

function walk(seed: number, steps: number): Walked[] {
  let rng: Rng = { seed };
  const pick = (bound: number): number => {
    const [value, next] = draw(rng, bound);
    rng = next;
    return value;
  };
  let state = init(defaults, { seed });
  let now = 0;
  const walked: Walked[] = [];
  for (let i = 0; i < steps; i++) {
    const until = supervision.deadline(state);
    // Mostly wait for the deadline, so that the walk comes around; sometimes far longer.
    now +=
      pick(3) === 0 && until !== Infinity ? Math.max(0, until - now) + pick(2) * pick(100_000) : pick(500);
    const event = kinds[pick(kinds.length)]!(state.life - (pick(8) === 0 ? 1 : 0), pick(100));
    const [next, effects] = supervision.step(state, event, instant(now));
    walked.push({ state: next, event, effects, at: instant(now) });
    state = next;
  }
  return walked;
}

const walks = Array.from({ length: 150 }, (_, seed) => walk(seed, 600));

test('[E7] no engine is spawned twice without a sweep between', () => {
  for (const walked of walks) {
    let swept = false;
    for (const effect of walked.flatMap(({ effects }) => effects)) {
      if (effect.type === 'sweep') swept = true;
      if (effect.type !== 'spawn') continue;
      ok(swept, 'a spawn without a sweep before it');
      swept = false;
    }
  }
});

test('[E7] nothing is spawned beside an engine that was adopted', () => {
  for (const walked of walks) {
    let alive = false;
    for (const { event, effects, state } of walked) {
      if (event.type === 'adopted' && state.stage.phase === 'starting') alive = true;
      if (effects.some((effect) => effect.type === 'sweep')) alive = false;
      ok(!(alive && effects.some((effect) => effect.type === 'spawn')));
    }
  }
});

test('[E9] every stop is answered, and by its deadline when ticks come on time', () => {
  for (let seed = 0; seed < 150; seed++) {
    const reached = walks[seed]!.at(-1)!;
    const withinMs = (seed % 20) * 500;
    let [state, effects] = supervision.step(
      reached.state,
      { type: 'stop', withinMs, graceful: true },
      reached.at,
    );
    const all = [...effects];
    for (let ticks = 0; state.stage.phase !== 'absent' && ticks < 10; ticks++) {
      const at = instant(Math.max(reached.at, supervision.deadline(state)));
      ok(at <= reached.at + withinMs, `seed ${seed}: waits until ${at - reached.at} of ${withinMs} ms`);
      [state, effects] = supervision.step(state, { type: 'tick' }, at);
      all.push(...effects);
    }
    deepEqual(all.filter((effect) => effect.type === 'stopped').length, 1, `seed ${seed}`);
  }
});

test('[E11] what is announced is what stands, and it is announced before anything is killed', () => {
  for (const walked of walks) {
    let standing = 'down:';
    for (const { effects, state } of walked) {
      const at = effects.findIndex((effect) => effect.type === 'announce');
      const announced = effects[at];
      if (announced?.type === 'announce') {
        const next = `${announced.engine.phase}:${announced.engine.models.join()}`;
        ok(next !== standing, 'announced without a change');
        standing = next;
        ok(at === 0);
      }
      ok(standing.startsWith('ready') === (state.stage.phase === 'ready'));
    }
  }
});

test('a tick at the deadline always gets on: no deadline stays in the past', () => {
  for (const walked of walks) {
    for (const { state, at } of walked) {
      const due = supervision.deadline(state);
      if (due === Infinity) continue;
      const then = instant(Math.max(at, due));
      const [next] = supervision.step(state, { type: 'tick' }, then);
      const again = supervision.deadline(next);
      // One further tick may fall on the same instant: SIGTERM and SIGKILL of a stop without time.
      ok(again > then || supervision.deadline(supervision.step(next, { type: 'tick' }, then)[0]) > then);
    }
  }
});

test('no more failures are remembered than the budget needs', () => {
  for (const { state } of walks.flat()) ok(state.failures.length <= defaults.restartsMax + 1);
});
