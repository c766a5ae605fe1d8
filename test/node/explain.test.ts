import { deepEqual, equal, ok } from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { memberExplanation } from '../../src/control/protocol.ts';
import type { MemberExplanation } from '../../src/node/explanation.ts';
import { openOperations } from '../../src/node/operate.ts';
import { memberId } from '../../src/std/member-id.ts';
import { World } from './world.ts';

async function threeNodes(t: TestContext): Promise<World> {
  const world = new World();
  t.after(() => world.stop());
  for (const name of ['i-1', 'i-2', 'i-3']) await world.start(name);
  await world.clock.run(5_000);
  return world;
}

/** As it comes out at the other end of the control socket. */
async function explained(world: World, by: string, name: string): Promise<MemberExplanation> {
  const explanation = await world.hosts.get(by)!.node.cluster.explain(memberId(name));
  ok(explanation !== null);
  deepEqual(memberExplanation.parse(JSON.parse(JSON.stringify(explanation))), explanation);
  return explanation;
}

test('of a member that is well: who it is, what it says, who observes it', async (t) => {
  const world = await threeNodes(t);
  const { health, binding, record, connection, observation, votes } = await explained(world, 'i-1', 'i-2');
  equal(health, 'alive');
  deepEqual([binding?.peerId, binding?.address, binding?.role], ['peer-i-2', 'i-2:4001', 'worker']);
  deepEqual([record?.from, record?.phase, record?.engine], ['i-2', 'serving', 'ready']);
  ok(record!.ageMs! < 5_000 && record!.ageMs! >= 0);
  ok(connection.connected && connection.heardMs! <= 600);
  deepEqual(observation.observers.toSorted(), ['i-1', 'i-3']);
  deepEqual([observation.weObserveIt, observation.itObservesUs, observation.doubt], [true, true, null]);
  deepEqual(votes, []);
});

test('of a member that stands still: what its kernel said, and the votes of its observers', async (t) => {
  const world = await threeNodes(t);
  world.hosts.get('i-2')!.up = false;
  await world.clock.run(3_000);
  const { health, why, connection, observation, votes } = await explained(world, 'i-1', 'i-2');
  deepEqual([health, why], ['suspect', 'silent']);
  ok(connection.connected && connection.heardMs! > 2_000);
  equal(observation.finding?.evidence, 'slow');
  deepEqual(votes.map(({ by, evidence }) => `${by} ${evidence}`).toSorted(), ['i-1 slow', 'i-3 slow']);
  ok(votes.every(({ ageMs, expiresInMs }) => ageMs < 3_000 && expiresInMs > 15_000));
});

test('of a member that never was connected: what others brought of it, and that no word of its own was heard', async (t) => {
  const world = new World();
  t.after(() => world.stop());
  world.apart.add('i-1 i-2');
  for (const name of ['i-1', 'i-2', 'i-3']) await world.start(name);
  await world.clock.run(20_000);
  const { record, connection } = await explained(world, 'i-1', 'i-2');
  deepEqual([record?.from, connection.connected, connection.heardMs], ['i-3', false, null]);
  const { node } = world.hosts.get('i-1')!;
  const explainStream = () => Promise.reject(new Error('no stream is asked about'));
  const { members } = openOperations(node, {} as never, { clock: world.clock, explainStream });
  const shown = members().map(({ id, heardMs }) => [id, heardMs === null ? 'never' : heardMs <= 600]);
  deepEqual(shown, [
    ['i-1', 'never'],
    ['i-2', 'never'],
    ['i-3', true],
  ]);
});

test('of a member that was killed: whose votes made it dead, and that dials go on', async (t) => {
  const world = await threeNodes(t);
  world.kill('i-2');
  await world.clock.run(500);
  const { health, why, sinceMs, connection, observation, votes } = await explained(world, 'i-3', 'i-2');
  deepEqual([health, why, observation.finding?.evidence], ['dead', 'votes', 'refused']);
  ok(sinceMs <= 500);
  deepEqual(votes.map(({ by }) => by).toSorted(), ['i-1', 'i-3']);
  ok(!connection.connected && connection.dial !== null);
});

test('of itself a node tells its record, and of who is not known nothing', async (t) => {
  const world = await threeNodes(t);
  const { self, record, binding, connection } = await explained(world, 'i-1', 'i-1');
  deepEqual([self, record?.from, record?.ageMs, binding, connection.heardMs], [true, null, null, null, null]);
  equal(await world.hosts.get('i-1')!.node.cluster.explain(memberId('i-9')), null);
});
