import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import type { Order } from '../../src/engine/orders.ts';
import { obliging, serving, World } from './world.ts';

const stop = { type: 'stop', withinMs: 10_000, graceful: true } as const;
const deaf = (order: Order) => (order.type === 'terminate' ? null : obliging(order));

test('[E8] a serving engine: streams are cut, then SIGTERM, and the sweep before the answer', () => {
  const world = serving();
  const mark = world.effects.length;
  world.tell(stop);
  deepEqual(world.said(mark), ['announce', 'engine.stopping', 'cut']);
  world.tell({ type: 'streams.cut' });
  deepEqual(world.said(mark).slice(3), ['terminate', 'engine.exited', 'sweep', 'engine.stopped', 'stopped']);
  equal(world.phase, 'absent');
});

test('[E8] streams that nobody cuts do not hold the SIGTERM back for long', () => {
  const world = serving({ cutMs: 1_000 });
  const from = world.now;
  world.tell(stop);
  world.run(1_000);
  deepEqual(world.times('terminate'), [from + 1_000]);
  equal(world.phase, 'absent');
});

test('[E8] an engine that ignores SIGTERM is killed within the time of the stop', () => {
  const world = serving({ killMs: 1_000 });
  const from = world.now;
  world.answer = deaf;
  world.tell(stop);
  world.tell({ type: 'streams.cut' });
  world.run(10_000);
  deepEqual(world.times('kill'), [from + 9_000]);
  equal(world.phase, 'absent');
});

test('[E8] a stop is answered by its deadline though nothing answers us', () => {
  for (const withinMs of [0, 1, 500, 3_000, 60_000]) {
    const world = serving();
    const from = world.now;
    world.answer = () => null;
    world.tell({ type: 'stop', withinMs, graceful: true });
    world.run(withinMs);
    deepEqual(world.times('stopped'), [from + withinMs]);
    ok(world.times('kill').length > 0, `${withinMs} ms: killed`);
  }
});

test('[E8] a starting engine is killed at once: a SIGTERM would be lost', () => {
  const world = new World();
  world.answer = (order) => (order.type === 'probe' ? null : obliging(order));
  world.tell({ type: 'start' });
  world.run(3_000);
  const mark = world.effects.length;
  world.tell(stop);
  deepEqual(world.said(mark), ['announce', 'kill', 'sweep', 'engine.exited', 'engine.stopped', 'stopped']);
});

test('[E8] without grace a serving engine is killed at once', () => {
  const world = serving();
  const mark = world.effects.length;
  world.tell({ ...stop, graceful: false });
  ok(!world.said(mark).includes('terminate'));
  equal(world.phase, 'absent');
});

test('[E8] an engine that dies while its streams are cut has stopped, not failed', () => {
  const world = serving();
  world.tell(stop);
  world.tell({ type: 'exited', life: world.state.life, code: 0, signal: null, cause: 'some last line' });
  equal(world.phase, 'absent');
  deepEqual(world.facts('engine.failed'), []);
  deepEqual(world.facts('engine.exited'), [{ fact: 'engine.exited', code: 0, signal: null, cause: null }]);
});

test('[E9] a second stop never postpones the first, and a sooner one brings it forward', () => {
  const world = serving({ killMs: 1_000 });
  const from = world.now;
  world.answer = deaf;
  world.tell(stop);
  world.tell({ ...stop, withinMs: 60_000 });
  world.tell({ type: 'streams.cut' });
  world.tell({ type: 'streams.cut' });
  world.tell({ ...stop, withinMs: 4_000 });
  world.run(60_000);
  deepEqual(world.times('cut').length, 1);
  deepEqual(world.times('terminate'), [from]);
  deepEqual(world.times('kill'), [from + 3_000]);
  equal(world.times('stopped').length, 1);
});

test('[E9] a later stop with more time gives the engine no more of it', () => {
  const world = serving({ killMs: 1_000 });
  const from = world.now;
  world.answer = (order) => (order.type === 'sweep' ? null : deaf(order));
  world.tell({ ...stop, withinMs: 4_000 });
  world.tell({ ...stop, withinMs: 60_000 });
  world.run(3_500);
  world.tell({ ...stop, withinMs: 60_000 });
  world.run(60_000);
  deepEqual([world.times('kill'), world.times('stopped')], [[from + 3_000], [from + 4_000]]);
});

test('[E9] a stop without grace overtakes one with', () => {
  const world = serving();
  world.answer = deaf;
  world.tell(stop);
  world.tell({ ...stop, graceful: false });
  equal(world.phase, 'absent');
});

test('[E9] what is not there is stopped at once, each time', () => {
  const world = new World();
  world.tell(stop);
  world.tell(stop);
  deepEqual(world.said(), ['stopped', 'stopped']);
});

test('[E9] a stop while a failed engine is swept, or waits for its next attempt, ends it', () => {
  for (const phase of ['clearing', 'backoff', 'exhausted'] as const) {
    const world = new World();
    world.answer = (order) => {
      if (order.type === 'spawn') return { type: 'spawn.failed', life: order.life, cause: 'missing' };
      return phase === 'clearing' && order.type === 'sweep' && order.life > 1 ? null : obliging(order);
    };
    world.tell({ type: 'start' });
    if (phase === 'exhausted') world.run(120_000);
    equal(world.phase, phase);
    const spawns = world.times('spawn').length;
    world.tell(stop);
    world.run(3_600_000);
    equal(world.phase, 'absent');
    equal(world.times('spawn').length, spawns);
    equal(world.times('stopped').length, 1);
  }
});

test('after a stop the engine can be started again', () => {
  const world = serving();
  world.tell(stop);
  world.tell({ type: 'streams.cut' });
  world.tell({ type: 'start' });
  world.run(1_000);
  equal(world.phase, 'ready');
  equal(world.status().restarts, 0);
});
