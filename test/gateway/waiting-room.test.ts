import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { openWaitingRoom } from '../../src/gateway/waiting-room.ts';
import type { Serving } from '../../src/node/serving.ts';
import { noAbility } from '../../src/std/ability.ts';
import { memberId } from '../../src/std/member-id.ts';
import { VirtualClock } from '../node/world.ts';

/** One model at one member, whose queue is as long as the test says. */
function rig() {
  const clock = new VirtualClock();
  const queue = { waiting: 100 };
  const model: Serving['model'] = (id) => {
    const load = { running: 1, waiting: queue.waiting };
    const member = { member: memberId('a'), self: true, zone: 'z', load, unreported: 0, doubted: false };
    return { id, ready: [member], starting: 0, contextTokens: null, ability: noAbility };
  };
  const room = openWaitingRoom({ serving: { model }, clock });
  const told: string[] = [];
  const wait = (name: string): (() => boolean) =>
    room.wait('m', {
      ...{ key: '', priority: 0 },
      begin: () => told.push(`${name} began`),
      refuse: ({ status }) => told.push(`${name} ${status}`),
    });
  return { clock, queue, room, told, wait };
}

test('[A7] who waits is begun when there is room, and refused when there was none for half a minute', async () => {
  const { clock, queue, room, told, wait } = rig();
  const leave = wait('a');
  await clock.run(29_900);
  deepEqual(told, []);
  wait('b');
  await clock.run(200);
  deepEqual(told.splice(0), ['a 503']);
  equal(leave(), false);
  equal(wait('c')(), true);
  equal(room.isFree('m'), false);
  queue.waiting = 0;
  await clock.run(100);
  deepEqual(told, ['b began']);
  equal(room.isFree('m'), true);
});
