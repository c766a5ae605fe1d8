import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { isIdle } from '../../src/engine/stage.ts';
import { model, obliging, reading, serving, World } from './world.ts';

test('[E1] an engine is ready once it is healthy, lists a model, and has answered a request', () => {
  const world = new World();
  const seen: string[] = [];
  let probes = 0;
  world.answer = (order) => {
    if (order.type === 'probe') {
      probes += 1;
      return { type: 'probed', life: order.life, healthy: probes !== 1, models: probes === 2 ? [] : [model] };
    }
    if (order.type === 'warm') seen.push(world.status().phase);
    return obliging(order);
  };
  world.tell({ type: 'start' });
  world.run(5_000);
  equal(probes, 3);
  deepEqual(seen, ['starting']);
  deepEqual(world.said().slice(0, 10), [
    'announce',
    'adopt',
    'sweep',
    'spawn',
    'engine.spawned',
    'probe',
    'probe',
    'probe',
    'warm',
    'announce',
  ]);
  const { phase, models, maxModelLen } = world.status();
  deepEqual({ phase, models, maxModelLen }, { phase: 'ready', models: ['m'], maxModelLen: 4_096 });
});

test('[E1] an engine that lives already is adopted, and nothing is spawned or swept beside it', () => {
  const world = new World();
  world.answer = (order) =>
    order.type === 'adopt' ? { type: 'adopted', life: order.life, pid: 42 } : obliging(order);
  world.tell({ type: 'start' });
  world.run(0);
  equal(world.phase, 'ready');
  deepEqual(world.facts('engine.adopted'), [{ fact: 'engine.adopted', pid: 42 }]);
  deepEqual([...world.times('spawn'), ...world.times('sweep')], []);
  equal(world.status().restarts, 0);
});

test('[E1] a warm-up that fails is tried again; the engine is not ready before one succeeds', () => {
  const world = new World();
  let warmUps = 0;
  world.answer = (order) => {
    if (order.type !== 'warm') return obliging(order);
    warmUps += 1;
    return warmUps < 3 ? { type: 'warm.failed', life: order.life, cause: '500' } : obliging(order);
  };
  world.tell({ type: 'start' });
  world.run(5_000);
  equal(world.phase, 'ready');
  equal(world.facts('engine.unwarmed').length, 2);
});

test('[E2] an engine that is not ready in time is killed, swept and started again', () => {
  const world = new World({ readyMs: 30_000 });
  world.answer = (order) =>
    order.type === 'probe'
      ? { type: 'probed', life: order.life, healthy: false, models: [] }
      : obliging(order);
  world.tell({ type: 'start' });
  world.run(31_500);
  deepEqual(
    world.facts('engine.failed').map((fact) => fact.why),
    ['late'],
  );
  deepEqual(world.times('kill'), [30_000]);
  equal(world.times('spawn').length, 2);
  equal(world.status().restarts, 1);
});

test('[E2] a warm-up that is never answered ends at the same deadline', () => {
  const world = new World({ readyMs: 30_000 });
  world.answer = (order) => (order.type === 'warm' ? null : obliging(order));
  world.tell({ type: 'start' });
  world.run(30_000);
  deepEqual(world.times('kill'), [30_000]);
});

test('[E2] a probe whose answer is lost is asked again', () => {
  const world = new World({ answerMs: 10_000 });
  let probes = 0;
  world.answer = (order) => (order.type === 'probe' && ++probes === 1 ? null : obliging(order));
  world.tell({ type: 'start' });
  world.run(11_000);
  equal(world.phase, 'ready');
});

test('[E3] an exit with code 0 that nobody ordered is a failure like any other', () => {
  const world = serving();
  const mark = world.effects.length;
  world.tell({ type: 'exited', life: 2, code: 0, signal: null, cause: 'EngineDeadError' });
  world.run(2_000);
  deepEqual(world.said(mark).slice(0, 6), [
    'announce',
    'engine.failed',
    'sweep',
    'engine.retrying',
    'announce',
    'spawn',
  ]);
  deepEqual(world.facts('engine.failed'), [
    { fact: 'engine.failed', why: 'exited', code: 0, signal: null, cause: 'EngineDeadError' },
  ]);
  equal(world.phase, 'ready');
  equal(world.status().restarts, 1);
});

test('[E3] a program that cannot be started is a failure, and is tried again', () => {
  const world = new World();
  world.answer = (order) =>
    order.type === 'spawn' ? { type: 'spawn.failed', life: order.life, cause: 'missing' } : obliging(order);
  world.tell({ type: 'start' });
  world.run(3_000);
  ok(world.times('spawn').length >= 2);
  equal(world.facts('engine.failed')[0]?.cause, 'missing');
});

const dying = (world: World): void => {
  world.answer = (order) =>
    order.type === 'spawn'
      ? { type: 'exited', life: order.life, code: 1, signal: null, cause: 'out of memory' }
      : obliging(order);
};

test('[E4] waits double within their jitter until the budget is spent, then the slow pace goes on for ever', () => {
  const budget = { restartsMax: 5, windowMs: 600_000, backoffBaseMs: 1_000, slowMs: 60_000 };
  const world = new World(budget);
  dying(world);
  world.tell({ type: 'start' });
  world.run(24 * 3_600_000);
  const waits = world.facts('engine.retrying').map((fact) => fact.afterMs);
  equal(waits.length, 5);
  waits.forEach((ms, attempt) => ok(ms < 1_000 * 2 ** attempt, `wait ${attempt} is ${ms} ms`));
  equal(world.facts('engine.exhausted').length, 1, 'said once');
  const spawns = world.times('spawn').slice(6);
  ok(spawns.length > 24 * 50, `${spawns.length} slow attempts in a day`);
  const paces = spawns.slice(1).map((at, i) => at - spawns[i]!);
  ok(Math.min(...paces) >= 60_000 && Math.max(...paces) < 67_000);
});

test('[E4] the budget comes back with time, and a further spending is said again', () => {
  const world = new World({ windowMs: 600_000, slowMs: 60_000 });
  dying(world);
  world.tell({ type: 'start' });
  world.run(300_000);
  equal(world.phase, 'exhausted');
  world.answer = obliging;
  world.run(700_000);
  equal(world.phase, 'ready');
  world.tell({ type: 'exited', life: world.state.life, code: 1, signal: null, cause: null });
  equal(world.phase, 'backoff', 'one failure after ten quiet minutes is the first of its window');
  dying(world);
  world.run(300_000);
  equal(world.facts('engine.exhausted').length, 2);
});

test('[E4] the room for a wait doubles with each failure', () => {
  const longest = [0, 0, 0, 0, 0];
  for (let seed = 0; seed < 40; seed++) {
    const world = new World({ backoffBaseMs: 1_000 }, seed);
    dying(world);
    world.tell({ type: 'start' });
    world.run(120_000);
    const waits = world.facts('engine.retrying').map((fact) => fact.afterMs);
    waits.forEach((ms, attempt) => (longest[attempt] = Math.max(longest[attempt]!, ms)));
  }
  longest.forEach((ms, attempt) =>
    ok(ms > 750 * 2 ** attempt && ms < 1_000 * 2 ** attempt, `${attempt}: ${ms} ms`),
  );
});

test('[E4] a seed replays the same waits, another seed has others', () => {
  const waits = (seed: number) => {
    const world = new World({}, seed);
    dying(world);
    world.tell({ type: 'start' });
    world.run(300_000);
    return world.times('spawn').join();
  };
  equal(waits(3), waits(3));
  ok(waits(3) !== waits(4));
});

test('[E5] requests in hand and no token for the whole span: killed and started again, whatever /health says', () => {
  const world = serving({ wedgedMs: 60_000 });
  const life = world.state.life;
  world.answer = (order) =>
    order.type === 'sample' && order.life === life
      ? { type: 'sampled', life, metrics: reading({ running: 3, generationTokens: 500 }) }
      : obliging(order);
  const from = world.now;
  world.run(59_000);
  equal(world.phase, 'ready');
  world.run(6_000);
  deepEqual(
    world.facts('engine.failed').map((fact) => fact.why),
    ['wedged'],
  );
  ok((world.times('kill')[0] ?? 0) - from >= 60_000);
  equal(world.status().restarts, 1);
});

test('[E5] requests that only wait are work too', () => {
  const world = serving({ wedgedMs: 60_000 });
  world.answer = (order) =>
    order.type === 'sample'
      ? { type: 'sampled', life: order.life, metrics: reading({ waiting: 1 }) }
      : obliging(order);
  world.run(65_000);
  equal(world.facts('engine.failed')[0]?.why, 'wedged');
});

test('[E5] an idle engine never wedges, and neither does one that gives a token now and then', () => {
  const world = serving({ wedgedMs: 60_000 });
  world.run(3_600_000);
  let tokens = 0;
  world.answer = (order) => {
    if (order.type !== 'sample') return obliging(order);
    if (world.now % 50_000 < 1_000) tokens += 1;
    return { type: 'sampled', life: order.life, metrics: reading({ running: 1, promptTokens: tokens }) };
  };
  world.run(3_600_000);
  deepEqual(world.times('kill'), []);
});

test('[E5] a freeze of the whole machine is not held against the engine', () => {
  const world = serving({ wedgedMs: 60_000 });
  let tokens = 0;
  world.answer = (order) =>
    order.type === 'sample'
      ? { type: 'sampled', life: order.life, metrics: reading({ running: 2, generationTokens: tokens }) }
      : obliging(order);
  world.run(10_000);
  world.freeze(3_600_000);
  world.run(2_000);
  tokens += 1;
  world.run(10_000);
  deepEqual(world.times('kill'), []);
});

test('[E13] how many run at once is told by those that wait, and where none waits it may be as many again', () => {
  const world = serving();
  const seats = (running: number, waiting: number): number | null | undefined => {
    const metrics = reading({ running, waiting, promptTokens: world.now });
    world.answer = (order) =>
      order.type === 'sample' ? { type: 'sampled', life: order.life, metrics } : obliging(order);
    world.run(1_000);
    return world.status().load?.seats;
  };
  equal(seats(300, 0), null);
  equal(seats(100, 3), 100);
  equal(seats(90, 0), 180);
  equal(seats(10, 0), 180);
  equal(seats(4, 9), 4);
});

test('[E6] a failed, a lost or no sample: the load is unknown, and unknown is not idle', () => {
  const world = serving({ answerMs: 10_000 });
  world.run(2_000);
  equal(isIdle(world.status()), true);
  world.answer = (order) =>
    order.type === 'sample'
      ? { type: 'sample.failed', life: order.life, cause: 'HTTP 500' }
      : obliging(order);
  world.run(1_500);
  equal(world.status().load, null);
  equal(isIdle(world.status()), false);
  world.answer = obliging;
  world.run(1_500);
  equal(isIdle(world.status()), true);
  world.answer = (order) => (order.type === 'sample' ? null : obliging(order));
  world.run(12_000);
  equal(isIdle(world.status()), false, 'a lost answer');
  equal(isIdle(new World().status()), false, 'no engine');
});

test('[E6] an engine that answers nothing for the whole span is killed', () => {
  const world = serving({ wedgedMs: 60_000 });
  const life = world.state.life;
  world.answer = (order) =>
    order.type === 'sample' && order.life === life
      ? { type: 'sample.failed', life, cause: 'timeout' }
      : obliging(order);
  world.run(58_000);
  equal(world.phase, 'ready');
  world.run(10_000);
  deepEqual(
    world.facts('engine.failed').map((fact) => fact.why),
    ['silent'],
  );
  equal(world.facts('engine.unsampled').length, 1, 'said when it becomes unknown, not at every sample');
});

test('[E7] the next engine waits for the sweep of the last, but not for ever', () => {
  const world = serving({ sweepMs: 15_000 });
  world.answer = (order) => (order.type === 'sweep' ? null : obliging(order));
  const from = world.now;
  world.tell({ type: 'exited', life: world.state.life, code: 1, signal: null, cause: null });
  world.run(14_999);
  equal(world.times('spawn').length, 1);
  world.run(5_000);
  equal(world.times('spawn').length, 2);
  ok(world.times('spawn')[1]! >= from + 15_000);
  deepEqual(world.facts('engine.unswept'), [{ fact: 'engine.unswept', left: null }]);
});

/** Its health is asked, and answered when the test says so. */
function doubted(config: Parameters<typeof serving>[0] = {}) {
  const world = serving(config);
  world.answer = (order) => (order.type === 'check' ? null : obliging(order));
  const { life } = world.state;
  return {
    ...{ world, err: () => world.tell({ type: 'erred' }) },
    tell: (isDead: boolean) => world.tell({ type: 'checked', life, isDead, cause: null }),
    asked: () => world.times('check').length,
  };
}

test('[E14] after an error its health is asked at once, and a dead one is started again', () => {
  const { world, err, tell, asked } = doubted();
  err();
  equal(asked(), 1);
  const mark = world.effects.length;
  tell(true);
  deepEqual(world.said(mark).slice(0, 4), ['announce', 'engine.failed', 'kill', 'sweep']);
  deepEqual(
    world.facts('engine.failed').map(({ why }) => why),
    ['dead'],
  );
  world.run(10_000);
  deepEqual([world.phase, world.status().restarts], ['ready', 1]);
});

test('[E14] one that is well, or does not tell, goes on', () => {
  const { world, err, tell, asked } = doubted({ answerMs: 10_000 });
  err();
  tell(false);
  world.run(60_000);
  deepEqual([world.phase, asked()], ['ready', 1]);
  err();
  world.run(60_000);
  err();
  deepEqual([world.phase, asked()], ['ready', 3], 'an answer that is lost keeps no later question back');
});

test('[E14] many errors are one question, and those that come while it is under way one more', () => {
  const { world, err, tell, asked } = doubted({ checkMs: 50 });
  for (let i = 0; i < 100; i++) err();
  equal(asked(), 1);
  world.run(40);
  tell(false);
  world.run(9);
  equal(asked(), 1, 'not before its time');
  world.run(2);
  equal(asked(), 2);
  err();
  world.run(500);
  equal(asked(), 2, 'not before it was answered');
  tell(false);
  equal(asked(), 3);
  tell(false);
  world.run(10_000);
  equal(asked(), 3, 'what came before it was asked is answered');
});

test('[E14] an engine whose counters cannot be read is asked for its health as well', () => {
  const { world, tell, asked } = doubted();
  world.answer = ({ type, life }) =>
    type === 'check' ? null : type === 'sample' ? { type: 'sample.failed', life, cause: 'refused' } : null;
  world.run(1_100);
  equal(asked(), 1);
  tell(true);
  equal(world.facts('engine.failed')[0]?.why, 'dead');
});
