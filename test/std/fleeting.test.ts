import { deepEqual, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { FleetingMap, FleetingSet } from '../../src/std/fleeting.ts';

test('what is there is told in the order of its coming, and what has left is not', () => {
  const [a, b, c] = [{ a: 1 }, { b: 2 }, { c: 3 }];
  const set = new FleetingSet<object>();
  const map = new FleetingMap<object>();
  const leave = [a, b, c].map((one) => set.add(one));
  [a, b, c].forEach((one, at) => map.set(at, one));
  leave[1]!();
  leave[1]!();
  map.delete(1);
  map.delete(1);
  deepEqual([set.all(), set.size, map.all(), map.size], [[a, c], 2, [a, c], 2]);
  deepEqual([map.get(1), map.get(2)], [undefined, c]);
});

test('a collection of the young frees what has left, however old the collection is that it was in', () => {
  const set = new FleetingSet<object>();
  const map = new FleetingMap<object>();
  for (const enter of [
    (one: object) => set.add(one),
    (one: object, key: number) => {
      map.set(key, one);
      return () => map.delete(key);
    },
  ])
    ok(keptBytes(enter) < 2_000_000);
});

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as (options: { type: 'minor' }) => void;
const collectYoung = (): void => collect({ type: 'minor' });

/** Of 16 MB that came and left, in a collection that was old before. */
function keptBytes(enter: (one: object, key: number) => () => void): number {
  const leaving = Array.from({ length: 10 }, (_, key) => enter({}, key));
  collectYoung();
  collectYoung();
  const before = process.memoryUsage().heapUsed;
  for (let key = 10; key < 2_010; key++) {
    leaving.push(enter({ large: new Array(1_000).fill(key) }, key));
    leaving.shift()!();
    if (key % 50 === 0) collectYoung();
  }
  for (const leave of leaving) leave();
  collectYoung();
  return process.memoryUsage().heapUsed - before;
}
