import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { memberId } from '../../src/std/member-id.ts';
import { wallTime } from '../../src/std/time.ts';
import { Dice } from './dice.ts';
import { Disks } from './disks.ts';
import { Terrain } from './terrain.ts';

const entry = (n: number, host: string) => ({
  ...{ id: memberId(`i-${n}`), peerId: `peer-${n}`, address: { host, port: 4001 } },
  ...{ zone: 'us-east-1a', role: 'worker' },
});

test('a disk gives back what was noted on it last, and nothing of what others noted since', () => {
  const terrain = new Terrain(new Dice(1));
  const [a, b, c] = [1, 2, 3].map((n) =>
    terrain.add({ id: `i-${n}`, ip: `10.0.0.${n}`, zone: 'us-east-1a', backlog: 8 }),
  );
  const disks = new Disks();
  const [one, two] = [entry(1, '10.0.0.1'), entry(2, '10.0.0.2')];
  const first = { asOf: wallTime(1_000), members: [{ ...one, ageMs: 5 }, two] };
  const second = {
    asOf: wallTime(2_000),
    members: [
      { ...one, ageMs: 7 },
      { ...two, left: true },
    ],
  };
  const moved = { asOf: wallTime(3_000), members: [entry(1, '10.0.0.9')] };
  disks.keep(a!, { asOf: wallTime(0), members: [] });
  disks.keep(a!, first);
  disks.keep(b!, second);
  disks.keep(c!, moved);
  for (const [host, noted] of [
    [a!, first],
    [b!, second],
    [c!, moved],
  ] as const)
    deepEqual(disks.recall(host), noted);
  disks.erase(a!);
  equal(disks.recall(a!), null);
});
