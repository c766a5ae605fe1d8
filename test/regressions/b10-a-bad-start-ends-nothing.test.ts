/**
 * B10: an engine that was not ready within 300 s ended the start of the node, and a guard then terminated the whole
 * machine, so that a slow disk or a wrong flag cost an instance each time instead of a restart of the engine.
 */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import type { Event, Order } from '../../src/engine/orders.ts';
import { Bench, until } from '../engines/bench.ts';
import { obliging, World } from '../engine/world.ts';

const dayMs = 24 * 3_600_000;

const never: Readonly<Record<string, (order: Order) => Event | null>> = {
  'never becomes ready': (order) =>
    order.type === 'probe'
      ? { type: 'probed', life: order.life, healthy: false, models: [] }
      : obliging(order),
  'exits at once': (order) =>
    order.type === 'spawn'
      ? { type: 'exited', life: order.life, code: 1, signal: null, cause: 'no such model' }
      : obliging(order),
  'cannot be started': (order) =>
    order.type === 'spawn' ? { type: 'spawn.failed', life: order.life, cause: 'missing' } : obliging(order),
  'answers nothing at all': (order) => (order.type === 'spawn' ? obliging(order) : null),
};

for (const [what, answer] of Object.entries(never)) {
  test(`[B10] an engine that ${what} for a day is tried to its end, and the node is never told to stop`, () => {
    const world = new World();
    world.answer = answer;
    world.tell({ type: 'start' });
    world.run(dayMs);
    const spawns = world.times('spawn');
    ok(spawns.length > 200, `${spawns.length} attempts`);
    ok(spawns.at(-1)! > dayMs - 600_000, 'the last attempt is a recent one');
    deepEqual(world.times('stopped'), []);
    ok(world.status().phase !== 'ready');
  });

  test(`[B10] an engine that ${what} for a day serves as soon as it can`, () => {
    const world = new World();
    world.answer = answer;
    world.tell({ type: 'start' });
    world.run(dayMs);
    world.answer = obliging;
    world.run(600_000);
    equal(world.status().phase, 'ready');
  });
}

test('[B10] a real engine that is late is started again and serves; its daemon lives on', async () => {
  const bench = new Bench();
  try {
    const stuck = { ...bench.spec(), args: ['-e', 'setInterval(() => {}, 1000)'] };
    const daemon = bench.daemon(stuck, { readyMs: 150, restartsMax: 1 });
    daemon.tell({ type: 'start' });
    await until(
      () => daemon.facts('engine.exhausted').length === 1,
      () => daemon.phase,
    );
    equal(daemon.status().phase === 'ready', false);
    await until(
      () => daemon.facts('engine.spawned').length >= 4,
      () => 'it goes on trying',
    );
    deepEqual(
      daemon.effects.filter((effect) => effect.type === 'stopped'),
      [],
    );
  } finally {
    await bench.clear();
  }
});
