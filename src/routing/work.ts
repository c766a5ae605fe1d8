/**
 * How much prompt this node has sent to whom lately, in blocks. A prefix draws its prompts to one member; this keeps one
 * member from getting much more than its part of the prompts, which running requests alone would show too late: a
 * prompt of a hundred thousand tokens is one request.
 *
 * Each entry node balances what it sends itself. Where all do, the sums are balanced too.
 */
import type { MemberId } from '../std/member-id.ts';

/** All counts are halved when the mean is above it: balance is wanted now, not against last week. */
const meanMax = 4_096;

export type Work = Map<MemberId, number>;

export const noWork = (): Work => new Map();

/** What each of these has got. Whoever is new begins with the mean: it has nothing to make up for. */
export function workOf(work: Work, members: readonly MemberId[]): { readonly mean: number } {
  const known = members.flatMap((member) => work.get(member) ?? []);
  const mean = known.length === 0 ? 0 : known.reduce((sum, one) => sum + one, 0) / known.length;
  for (const member of members) if (!work.has(member)) work.set(member, mean);
  if (work.size > 2 * members.length + 64) {
    const present = new Set(members);
    for (const member of work.keys()) if (!present.has(member)) work.delete(member);
  }
  if (mean <= meanMax) return { mean };
  for (const [member, blocks] of work) work.set(member, blocks / 2);
  return { mean: mean / 2 };
}

export const addWork = (work: Work, member: MemberId, blocks: number): void => {
  work.set(member, (work.get(member) ?? 0) + blocks);
};
