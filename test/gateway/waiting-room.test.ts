import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { openWaitingRoom } from '../../src/gateway/waiting-room.ts';
import type { MemberLoad, Serving } from '../../src/node/serving.ts';
import { noAbility } from '../../src/std/ability.ts';
import { memberId } from '../../src/std/member-id.ts';
import { VirtualClock } from '../node/world.ts';

type Told = { readonly name: string; readonly load: MemberLoad | null; readonly unreported: number };

/** One model at one member, whose queue is as long as the test says, and at others if it says so. */
function rig() {
  const clock = new VirtualClock();
  const queue = { running: 1, waiting: 100 };
  const members: Told[] = [{ name: 'a', load: queue, unreported: 0 }];
  const model: Serving['model'] = (id) => {
    const ready = members.map(({ name, load, unreported }) => ({
      ...{ member: memberId(name), self: name === 'a', zone: 'z', contextTokens: null },
      ...{ load, unreported, doubted: false },
    }));
    return { id, ready, starting: 0, contextTokens: null, ability: noAbility };
  };
  const room = openWaitingRoom({ serving: { model }, clock });
  const told: string[] = [];
  const wait = (name: string): (() => boolean) =>
    room.wait('m', {
      ...{ key: '', priority: 0 },
      begin: () => told.push(`${name} began`),
      refuse: ({ status }) => told.push(`${name} ${status}`),
    });
  return { clock, queue, members, room, told, wait };
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

test('[A11] a look begins as many as there are places, however old what is known of them', async () => {
  const { clock, queue, told, wait } = rig();
  for (let i = 0; i < 900; i++) wait(`r${i}`);
  await clock.run(100);
  deepEqual(told, []);
  queue.waiting = 30;
  await clock.run(25);
  deepEqual(told, ['r0 began', 'r1 began']);
});

test('[A11] a member whose load is not known is no way past one that is full', async () => {
  const { clock, queue, members, room, told, wait } = rig();
  members.push({ name: 'b', load: null, unreported: 0 });
  wait('a');
  await clock.run(100);
  deepEqual([told, room.isFree('m')], [[], false]);
  queue.waiting = 31;
  await clock.run(25);
  deepEqual(told, ['a began']);
});

test('[A11] where nobody knows any load a member gets as many as its queue may have, and no more', async () => {
  const { clock, members, room, told, wait } = rig();
  wait('a');
  wait('b');
  members.splice(0, 1, { name: 'a', load: null, unreported: 32 });
  await clock.run(100);
  deepEqual([told, room.isFree('m')], [[], false]);
  members.splice(0, 1, { name: 'a', load: null, unreported: 31 });
  await clock.run(25);
  deepEqual(told, ['a began']);
});
