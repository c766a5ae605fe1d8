/** Whether a node can tell that there is no such model: what those serve whom it has not met, it does not know. */
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { openPlacing } from '../../src/node/placing.ts';
import { memberId } from '../../src/std/member-id.ts';
import { World } from './world.ts';

/** Why a request for a model that nobody is known to serve is not placed. */
function refusal(world: World, name: string): string {
  const { serving } = world.hosts.get(name)!.node;
  const { place } = openPlacing({ serving, clock: world.clock, rng: { seed: 1 } });
  const choice = place({ model: 'somebody’s', prompt: [], contextMin: 0 }, { avoid: [], urgent: false });
  return choice.type === 'none' ? choice.why : choice.type;
}

test('[R6] no model is unknown to whom fewer of those listed answer than do not', async (t) => {
  const world = new World();
  t.after(() => world.stop());
  for (const name of ['i-8', 'i-9']) world.absent.add(name);
  await world.start('i-1');
  await world.start('i-2');
  await world.clock.run(5_000);
  equal(refusal(world, 'i-1'), 'unavailable');
  await world.start('i-3');
  await world.clock.run(5_000);
  equal(refusal(world, 'i-1'), 'unknown-model');
  world.kill('i-3');
  await world.clock.run(5_000);
  equal(refusal(world, 'i-1'), 'unavailable');
  world.absent.delete('i-8');
  await world.clock.run(180_000);
  equal(refusal(world, 'i-1'), 'unknown-model');
});

test('[R6] nor is it to a node that has never been told who is listed', async (t) => {
  const world = new World();
  t.after(() => world.stop());
  world.ec2 = false;
  await world.start('i-1');
  await world.clock.run(60_000);
  const { serving } = world.hosts.get('i-1')!.node;
  deepEqual(serving.admission(), { open: true });
  equal(refusal(world, 'i-1'), 'unavailable');
  world.ec2 = true;
  await world.clock.run(120_000);
  equal(refusal(world, 'i-1'), 'unknown-model');
});

test('[R6] nor where its first question was not answered, until somebody is met', async (t) => {
  const world = new World();
  t.after(() => world.stop());
  world.lists = false;
  await world.start('i-1');
  await world.clock.run(60_000);
  equal(refusal(world, 'i-1'), 'unavailable');
  world.lists = true;
  await world.clock.run(120_000);
  equal(refusal(world, 'i-1'), 'unknown-model');
});

test('whoever asks in another thread is told of a member that is listed and was not met yet', async (t) => {
  const world = new World();
  t.after(() => world.stop());
  world.absent.add('i-9');
  const { node } = await world.start('i-1');
  const told: string[] = [];
  node.cluster.changed.add((id) => {
    const health = node.cluster.member(id)?.health;
    if (id === memberId('i-9')) told.push(health ?? 'nobody');
  });
  await world.clock.run(5_000);
  equal(told[0], 'unknown');
});
