import { deepEqual, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { recordOf } from '../../src/registry/records.ts';
import { idOf, noFaults, World } from './world.ts';

const draining = { phase: 'draining', reason: 'interruption', deadline: 5 } as const;
const settled = (world: World) => () => world.agree() && world.complete();

test('[G15] in good weather all nodes hold the same within two seconds, and a change reaches all at once', () => {
  const world = new World(32, noFaults);
  world.begin(0);
  for (const a of world.nodes) for (const b of world.nodes) world.connect(a, b);
  ok((world.run(2_000, settled(world)) ?? Infinity) <= 2_000);
  world.run(3_000);
  world.deliver(world.nodes[5]!, { type: 'revised', change: { life: draining } });
  const took = world.run(1_000, settled(world));
  ok(took !== null && took <= 50, `${took}`);
  deepEqual(world.backwards, []);
});

test('[G15] with gossip lost altogether a sparse cluster of 60 converges within 30 s, again after each change', () => {
  const world = new World(60, { ...noFaults, gossipLost: 1 });
  world.begin(5);
  const joined = world.run(30_000, settled(world));
  ok(joined !== null, 'after the join');
  for (const i of [3, 17, 44])
    world.deliver(world.nodes[i]!, { type: 'revised', change: { life: draining } });
  const changed = world.run(30_000, settled(world));
  ok(changed !== null && changed <= 5_000, `after a change: ${changed}`);
  deepEqual(world.backwards, []);
});

test('[G15] a third of everything lost or doubled delays, and never takes anything back', () => {
  const world = new World(24, { gossipLost: 0.3, directLost: 0.3, duplicated: 0.3 });
  world.begin(6);
  for (let change = 0; change < 40; change++) {
    world.deliver(world.nodes[change % 24]!, {
      type: 'revised',
      change: { engine: { phase: 'ready', models: [`m${change}`], contextTokens: null } },
    });
    world.run(50);
  }
  ok(world.run(30_000, settled(world)) !== null);
  deepEqual(world.backwards, []);
});

test('[G15] two halves that could not hear each other agree within three seconds of meeting', () => {
  const world = new World(16, noFaults);
  const halves = [world.nodes.slice(0, 8), world.nodes.slice(8)];
  world.faults = { ...noFaults, gossipLost: 1 };
  world.begin(0);
  for (const half of halves) for (const a of half) for (const b of half) world.connect(a, b);
  world.run(3_000);
  for (const node of world.nodes) world.deliver(node, { type: 'revised', change: { life: draining } });
  world.run(3_000);
  ok(!world.agree());
  for (const a of halves[0]!) for (const b of halves[1]!) world.connect(a, b);
  ok((world.run(3_000, settled(world)) ?? Infinity) <= 3_000);
});

test('[G15] a member that some forgot and others did not is known to all again, once all know its instance', () => {
  const world = new World(10, { ...noFaults, gossipLost: 1 });
  world.begin(3);
  world.run(20_000, settled(world));
  const gone = world.nodes[4]!;
  for (const node of world.nodes.slice(0, 4)) world.deliver(node, { type: 'unbound', id: idOf(gone) });
  world.run(2_000);
  ok(recordOf(world.nodes[0]!.state, idOf(gone)) === null);
  for (const node of world.nodes.slice(0, 4))
    world.deliver(node, { type: 'bound', id: idOf(gone), peerId: gone.state.own.peerId });
  ok(world.run(10_000, settled(world)) !== null);
});

test('a quiet cluster costs each node under a kilobyte a second in comparisons', () => {
  const world = new World(32, noFaults);
  world.begin(31);
  world.run(10_000);
  const before = world.bytes;
  world.run(20_000);
  const beats = 8 * 4 * 9 * 20 * 32;
  const each = (world.bytes - before - beats) / 20 / 32;
  ok(each < 1_000, `${each} B/s`);
});
