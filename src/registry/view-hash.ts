/**
 * A hash of everything a node knows, kept as members change: the sum of one hash for each member, in two lanes of 32
 * bits. A sum does not care for order, and a change costs one subtraction and one addition, at 3 members and at 1,000.
 * Members fall into 64 buckets by their id, each with a sum of its own, so that two nodes that differ find out where
 * with one kilobyte.
 *
 * It finds differences, it does not prove equality to an enemy: an owner may shape the hash of its own entry.
 */
import { fnv1a, scramble } from '../std/hash.ts';
import type { MemberId } from '../std/member-id.ts';

export const bucketCount = 64;

/** Two unsigned 32-bit lanes. */
export type ViewHash = { readonly high: number; readonly low: number };

/** How new the record is that is held of a member, and whether the member is held dead. */
export type Standing = { readonly incarnation: number; readonly sequence: number; readonly dead: boolean };

export type View = {
  readonly highs: Uint32Array;
  readonly lows: Uint32Array;
  total: ViewHash;
  /** The sums of the buckets, as they were told last; null: not since the view changed. */
  told: readonly ViewHash[] | null;
};

export const emptyView = (): View => ({
  highs: new Uint32Array(bucketCount),
  lows: new Uint32Array(bucketCount),
  total: { high: 0, low: 0 },
  told: null,
});

/** What stood for this member, if anything, is replaced by what stands for it now, if anything. */
export function restate(view: View, id: MemberId, before: Standing | null, now: Standing | null): void {
  const key = keyOf(id);
  let high = 0;
  let low = 0;
  if (before !== null) {
    high -= lane(key ^ highSeed, before);
    low -= lane(key ^ lowSeed, before);
  }
  if (now !== null) {
    high += lane(key ^ highSeed, now);
    low += lane(key ^ lowSeed, now);
  }
  const bucket = key % bucketCount;
  view.highs[bucket] = view.highs[bucket]! + high;
  view.lows[bucket] = view.lows[bucket]! + low;
  view.told = null;
  view.total = { high: (view.total.high + high) >>> 0, low: (view.total.low + low) >>> 0 };
}

export const bucketOf = (id: MemberId): number => keyOf(id) % bucketCount;

/** Asked at each comparison, with each peer. */
export function bucketHashes(view: View): readonly ViewHash[] {
  if (view.told !== null) return view.told;
  const { highs, lows } = view;
  const hashes: ViewHash[] = [];
  for (let i = 0; i < bucketCount; i++) hashes.push({ high: highs[i]!, low: lows[i]! });
  view.told = hashes;
  return hashes;
}

export const sameHash = (a: ViewHash, b: ViewHash): boolean => a.high === b.high && a.low === b.low;

const highSeed = 0x9e3779b9;
const lowSeed = 0x7f4a7c15;

const keyOf = (id: MemberId): number => scramble(fnv1a(id));

function lane(seed: number, { incarnation, sequence, dead }: Standing): number {
  let hash = scramble(seed ^ (incarnation >>> 0));
  hash = scramble(hash ^ Math.floor(incarnation / 2 ** 32));
  hash = scramble(hash ^ (sequence >>> 0));
  return scramble(hash ^ (Math.floor(sequence / 2 ** 32) * 2) ^ (dead ? 1 : 0));
}
