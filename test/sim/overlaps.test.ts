/** That a fault which ends leaves standing what another one of its kind did. */
import { equal } from 'node:assert/strict';
import { test } from 'node:test';
import { Digest } from './digest.ts';
import { Bag, Overlaps } from './overlaps.ts';
import { SimProcess } from './process.ts';
import { EventQueue } from './queue.ts';
import { Dice } from './dice.ts';
import { Terrain } from './terrain.ts';

test('of the losses that stand the largest holds, and the usual one comes back after the last', () => {
  const overlaps = new Overlaps();
  const s3 = { slow: 0.01, out: false };
  const [first, second] = [overlaps.impose(s3, 'slow', 0.2), overlaps.impose(s3, 'slow', 0.1)];
  equal(s3.slow, 0.2);
  first();
  equal(s3.slow, 0.1);
  const third = overlaps.impose(s3, 'slow', 0.1);
  second();
  equal(s3.slow, 0.1);
  third();
  equal(s3.slow, 0.01);
});

test('what is out is back when both who took it are done', () => {
  const overlaps = new Overlaps();
  const ec2 = { out: false };
  const [first, second] = [overlaps.impose(ec2, 'out', true), overlaps.impose(ec2, 'out', true)];
  second();
  equal(ec2.out, true);
  first();
  equal(ec2.out, false);
  const zones = new Bag<string>();
  const [one, other] = [zones.put('a'), zones.put('a')];
  one();
  equal(zones.has('a'), true);
  other();
  equal(zones.has('a'), false);
});

test('a process that was stopped twice goes on when it was let go on twice', () => {
  const queue = new EventQueue();
  const drift = { rate: 1, wallOffsetMs: 0 };
  const process = new SimProcess(0, { queue, digest: new Digest(), drift });
  let calls = 0;
  process.receive(1, () => calls++);
  process.pause();
  process.pause();
  process.resume();
  queue.step();
  equal(calls, 0);
  process.resume();
  queue.step();
  equal(calls, 1);
});

test('a path that was cut twice passes when it was mended twice', () => {
  const terrain = new Terrain(new Dice(1));
  const [a, b] = ['10.0.0.1', '10.0.0.2'].map((ip) => terrain.add({ id: ip, ip, zone: 'a', backlog: 4 }));
  const mends = [terrain.cut(a!, b!, 0), terrain.cut(a!, b!, 5)];
  for (const mend of mends) {
    equal(terrain.passes(a!, b!), false);
    mend();
  }
  equal(terrain.passes(a!, b!), true);
});
