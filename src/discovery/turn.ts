/**
 * Whose turn it is to look, without anybody deciding it: all nodes order the live members by a hash of the epoch and
 * the member's id (rendezvous hashing: Thaler and Ravishankar, 1998), and the first three of an epoch look. Views that
 * differ a little make it two or four pollers, never none for long; clocks that differ shift whose turn it is, but not
 * how often a turn comes.
 */
import { fnv1a, scramble } from '../std/hash.ts';
import type { MemberId } from '../std/member-id.ts';

/** Two must agree for a word to count, and one may be a liar or dead without anybody's knowledge. */
const pollers = 3;

/** `others`: the live members that have a voice. One pass, once in an epoch. */
export function isTurn(self: MemberId, epoch: number, others: Iterable<MemberId>): boolean {
  const own = score(self, epoch);
  let before = 0;
  for (const id of others) {
    const theirs = score(id, epoch);
    if (theirs < own || (theirs === own && id < self)) before++;
    if (before >= pollers) return false;
  }
  return true;
}

/** Begun from a seed of the epoch: the basis of FNV-1a, stirred. */
const score = (id: MemberId, epoch: number): number =>
  scramble(fnv1a(id, scramble(epoch >>> 0) ^ 0x811c9dc5));
