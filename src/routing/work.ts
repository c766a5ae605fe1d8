/**
 * How much prompt this node has sent to whom lately, in blocks. A prefix draws its prompts to one member; this keeps one
 * member from getting much more than its part of the prompts, which running requests alone would show too late: a
 * prompt of a hundred thousand tokens is one request.
 *
 * Each entry node balances what it sends itself. Where all do, the sums are balanced too.
 */
import type { MemberId } from '../std/member-id.ts';

/**
 * The counts of those among whom one is chosen are halved when their mean is above it: balance is wanted now, not against
 * last week.
 */
const meanMax = 4_096;

/**
 * Twice as many as a cluster has. Those of all models are in it, so whom one request could not go to is no reason to forget
 * them: the next one may be for another model.
 */
const keptMax = 2_000;

export type Work = Map<MemberId, number>;

export const noWork = (): Work => new Map();

/** What each of these has got. Whoever is new begins with the mean: it has nothing to make up for. */
export function workOf(work: Work, members: readonly MemberId[]): { readonly mean: number } {
  const known = members.flatMap((member) => work.get(member) ?? []);
  const mean = known.length === 0 ? 0 : known.reduce((sum, one) => sum + one, 0) / known.length;
  for (const member of members) if (!work.has(member)) work.set(member, mean);
  if (work.size > keptMax) forgetOldest(work, new Set(members));
  if (mean <= meanMax) return { mean };
  for (const member of members) work.set(member, (work.get(member) ?? 0) / 2);
  return { mean: mean / 2 };
}

function forgetOldest(work: Work, but: ReadonlySet<MemberId>): void {
  for (const member of work.keys()) {
    if (work.size <= keptMax) return;
    if (!but.has(member)) work.delete(member);
  }
}

/** Who got nothing for longest stands first. */
export function addWork(work: Work, member: MemberId, blocks: number): void {
  const before = work.get(member) ?? 0;
  work.delete(member);
  work.set(member, before + blocks);
}
