import { deepEqual, equal, notDeepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  bucketCount,
  bucketHashes,
  emptyView,
  restate,
  type Standing,
  type View,
} from '../../src/registry/view-hash.ts';
import { memberId } from '../../src/std/member-id.ts';

const standing = fc.record({
  incarnation: fc.maxSafeNat(),
  sequence: fc.maxSafeNat(),
  dead: fc.boolean(),
});
const changes = fc.array(fc.tuple(fc.integer({ min: 0, max: 20 }), fc.option(standing)), { maxLength: 60 });
const idOf = (n: number) => memberId(`i-0${n}`);

/** The hash of a view that was always as it is now. */
function fromScratch(standings: ReadonlyMap<number, Standing>): View {
  const view = emptyView();
  for (const [n, each] of [...standings].sort(([a], [b]) => b - a)) restate(view, idOf(n), null, each);
  return view;
}

test('[G4] the hash kept through any changes, in any order, is the hash of what stands in the end', () => {
  fc.assert(
    fc.property(changes, (list) => {
      const view = emptyView();
      const standings = new Map<number, Standing>();
      for (const [n, next] of list) {
        restate(view, idOf(n), standings.get(n) ?? null, next);
        if (next === null) standings.delete(n);
        else standings.set(n, next);
      }
      const expected = fromScratch(standings);
      deepEqual(view.total, expected.total);
      deepEqual(bucketHashes(view), bucketHashes(expected));
    }),
    { numRuns: 200 },
  );
});

test('[G4] each of incarnation, sequence, death and member shows in the hash', () => {
  const hashOf = (id: string, each: Standing) => {
    const view = emptyView();
    restate(view, memberId(id), null, each);
    return JSON.stringify(view.total);
  };
  const plain = { incarnation: 1_763_736_000_000, sequence: 3, dead: false };
  const hashes = [
    hashOf('i-1', plain),
    hashOf('i-2', plain),
    hashOf('i-1', { ...plain, dead: true }),
    hashOf('i-1', { ...plain, sequence: 4 }),
    hashOf('i-1', { ...plain, sequence: 3 + 2 ** 32 }),
    hashOf('i-1', { ...plain, incarnation: plain.incarnation + 1 }),
    hashOf('i-1', { ...plain, incarnation: plain.incarnation + 2 ** 32 }),
    hashOf('i-1', { ...plain, incarnation: 3, sequence: plain.incarnation }),
  ];
  equal(new Set(hashes).size, hashes.length);
  notDeepEqual(hashes[0], JSON.stringify(emptyView().total));
});

test('members spread over the buckets, and a change shows in one of them', () => {
  const view = emptyView();
  const plain = { incarnation: 1, sequence: 0, dead: false };
  for (let n = 0; n < 1_000; n++) restate(view, memberId(`i-0abcdef${n}`), null, plain);
  const before = bucketHashes(view);
  equal(before.filter(({ high, low }) => high === 0 && low === 0).length, 0);
  restate(view, memberId('i-0abcdef7'), plain, { ...plain, sequence: 1 });
  const changed = bucketHashes(view).filter((hash, i) => JSON.stringify(hash) !== JSON.stringify(before[i]));
  equal(changed.length, 1);
  equal(before.length, bucketCount);
});
