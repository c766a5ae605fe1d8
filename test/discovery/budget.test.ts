import { equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { World } from './world.ts';

const name = (i: number): string => `i-${String(i).padStart(4, '0')}`;
const minute = 60_000;
const throttled = (calls: readonly { readonly throttled: boolean }[]): number =>
  calls.filter((call) => call.throttled).length;

/** Everyone starts within a second or two and has a minute to settle. */
function settled(nodes: number): World {
  const world = new World();
  for (let i = 0; i < nodes; i++) world.at(i * 20, () => world.start(name(i), { zone: 'abc'[i % 3]! }));
  world.runUntil(3 * minute);
  equal(world.missing(), 0);
  return world;
}

test('[Y10] a thousand that tag themselves as fast as EC2 lets them know each other within 120 s, without a storm', () => {
  const world = new World();
  for (let i = 0; i < 1_000; i++) {
    const taggedAt = i < 100 ? i * 10 : 1_000 + (i - 100) * 100;
    world.at(taggedAt, () => world.start(name(i), { zone: 'abc'[i % 3]!, lagMs: 500 + (i % 5) * 500 }));
  }
  world.runUntil(2 * minute);
  equal(world.missing(), 0);
  ok(world.calls.length < 2_000, `${world.calls.length} calls`);
  ok(throttled(world.calls) < 200, `${throttled(world.calls)} throttled`);
  const from = world.now;
  world.runUntil(from + 5 * minute);
  const perSecond = world.callsWithin(from, world.now).length / 300;
  ok(perSecond <= 0.2, `${perSecond} calls a second`);
});

test('[Y10] a thousand that look in the same second are served within 120 s, and none is throttled after 60 s', () => {
  const world = new World();
  for (let i = 0; i < 1_000; i++) world.at(i, () => world.start(name(i), { zone: 'abc'[i % 3]! }));
  world.runUntil(2 * minute);
  ok(world.missing() <= 5 * 2 * 999, `${world.missing()} of 999,000 pairs`);
  equal(throttled(world.callsWithin(minute, Infinity)), 0);
  ok(throttled(world.calls) < 4_000, `${throttled(world.calls)} throttled`);
});

test('[Y3] fifty nodes cost as many calls as three do', () => {
  for (const nodes of [3, 50]) {
    const world = settled(nodes);
    const from = world.now;
    world.runUntil(from + 10 * minute);
    const perSecond = world.callsWithin(from, world.now).length / 600;
    ok(perSecond >= 0.08 && perSecond <= 0.12, `${nodes}: ${perSecond} calls a second`);
  }
});

test('[Y6] an API that is dead for an hour costs a call or two a second, changes nothing, and is taken up again', () => {
  const world = settled(300);
  const from = world.now;
  world.outage = true;
  world.runUntil(from + 60 * minute);
  equal(world.missing(), 0);
  const perSecond = world.callsWithin(from, world.now).length / 3_600;
  ok(perSecond < 2, `${perSecond} calls a second`);
  world.outage = false;
  world.start('i-new');
  world.runUntil(world.now + 3 * minute);
  equal(world.missing(), 0);
  equal(throttled(world.callsWithin(from, Infinity)), 0);
});

test('[Y4] a zone that EC2 does not tell of stays, whether its machines are up or not', () => {
  const world = settled(60);
  world.tells = ({ zone }) => zone !== 'b';
  for (let i = 1; i < 60; i += 3) if (i % 2 === 1) world.kill(name(i), { listed: true });
  world.runUntil(world.now + 30 * minute);
  equal(world.missing(), 0);
  equal(world.bound(name(0)).length, 59);
});

test('[Y4] empty answers and answers without half of the machines give nobody up', () => {
  for (const tells of [() => false, ({ id }: { id: string }) => Number(id.slice(2)) % 2 === 0]) {
    const world = settled(20);
    world.tells = tells;
    world.kill(name(3), { listed: true });
    world.runUntil(world.now + 60 * minute);
    equal(world.bound(name(0)).length, 19);
    ok(world.facts.includes('discovery.failed'));
  }
});

test('[Y5] a machine that ended is forgotten by all within a few epochs, and one that came is known to all', () => {
  const world = settled(100);
  world.kill(name(7), { listed: false });
  world.runUntil(world.now + minute);
  equal(world.bound(name(0)).length, 99);
  world.start('i-new');
  world.runUntil(world.now + 10_000);
  ok(world.bound(name(0)).includes('i-new'));
  equal(world.missing(), 0);
  world.runUntil(world.now + 3 * minute);
  for (let i = 0; i < 100; i++) if (i !== 7) ok(!world.bound(name(i)).includes(name(7)), name(i));
});

test('[Y8] where no word of any poller arrives, each looks for itself', () => {
  const world = settled(40);
  world.gossip = false;
  const from = world.now;
  world.runUntil(from + 5 * minute);
  const lookers = new Set(world.callsWithin(from, world.now).map(({ by }) => by));
  equal(lookers.size, 40);
});

test('the same seed makes the same calls', () => {
  const calls = [1, 2].map(() => JSON.stringify(settled(30).calls));
  equal(calls[0], calls[1]);
});
