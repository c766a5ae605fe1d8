/** What a node may send: at once, for long, and in peace. */
import { deepEqual, match } from 'node:assert/strict';
import { test } from 'node:test';
import type { Resident } from './resident.ts';
import { Spending } from './spending.ts';
import type { World } from './world.ts';

/**
 * A cluster of which the first node sends so much in each second; `learns`: somebody learns something each time. So many
 * newcomers know somebody from the first second on, and the others, of whom it does not matter, never do.
 */
function told(
  members: number,
  perSecond: readonly number[],
  learns: boolean,
  newcomers = 0,
): readonly string[] {
  const residentOf = (i: number): Resident => ({ id: `i-${i}`, alive: i < newcomers ? 1 : 0 }) as Resident;
  const living = Array.from({ length: members }, (_, i) => residentOf(i));
  const station = { sentBytes: 0 };
  const world = {
    living: () => living,
    stationOf: (resident: Resident) => (resident === living[0] ? station : { sentBytes: 0 }),
  } as unknown as World;
  const complaints: string[] = [];
  const spending = new Spending(
    () => world,
    (what) => complaints.push(what),
  );
  for (const [second, bytes] of perSecond.entries()) {
    station.sentBytes += bytes;
    spending.look(learns ? second : 0);
  }
  return complaints;
}

const seconds = (count: number, bytes: number): readonly number[] =>
  Array.from({ length: count }, () => bytes);

test('once nobody has learned anything for 100 s a node may send 4 kB a second, and no more', () => {
  deepEqual(told(20, [...seconds(90, 40_000), ...seconds(20, 4_000)], false), []);
  match(told(20, seconds(102, 4_001), false)[0] ?? '', /^i-0 sends 4001 bytes a second in peace/);
});

test('ten seconds of anything may have four kilobytes, two for each member, and once all of all for all', () => {
  deepEqual(told(20, seconds(10, 52_000), true), []);
  match(told(20, seconds(10, 52_001), true)[0] ?? '', /for long, of 20 members/);
});

test('they may have a record of each member for each that has just come to know anybody, and for no longer', () => {
  const each = 4_000 + 20 * (2_400 + 5 * 60);
  deepEqual(told(20, seconds(12, each), true, 5), []);
  match(told(20, seconds(12, each + 1), true, 5)[0] ?? '', /for long, of 20 members/);
  match(told(20, seconds(13, each), true, 5)[0] ?? '', /for long, of 20 members/);
});

test('beyond a full mesh they may have what others gossip of each member besides', () => {
  deepEqual(told(51, seconds(10, 4_000 + 51 * 5_520), true), []);
  match(told(51, seconds(10, 4_001 + 51 * 5_520), true)[0] ?? '', /for long, of 51 members/);
});

test('one second may have what all members at once cost, which grows with their number', () => {
  const [few, many] = [5 * 7_000, 50 * 16_000];
  deepEqual([told(5, [few], true), told(50, [many], true)], [[], []]);
  match(told(5, [few + 1], true)[0] ?? '', /at once, of 5 members/);
  match(told(50, [many + 1], true)[0] ?? '', /at once, of 50 members/);
});
