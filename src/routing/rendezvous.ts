/**
 * Weighted rendezvous hashing (Thaler and Ravishankar 1998; weights after Schindelhauer and Schomaker 2005): all who
 * know the same members rank them alike for a key, without a word between them. A member that comes takes its share
 * from all others alike, one that goes leaves its share to all others alike, and a weight that grows only draws keys.
 */
import { fnv1a, scramble } from '../std/hash.ts';

/** Positive; the member with the highest is the first for this key. `weight`: above 0, 1 is usual. */
export function rankOf(key: number, member: number, weight: number): number {
  const mixed = scramble(scramble((key % 2 ** 32) ^ member) ^ Math.floor(key / 2 ** 32));
  const uniform = (mixed + 1) / (2 ** 32 + 1);
  return -weight / Math.log(uniform);
}

/** A number for a name, to be computed once. */
export const hashOf = (name: string): number => scramble(fnv1a(name));
