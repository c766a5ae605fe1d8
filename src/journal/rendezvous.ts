/**
 * Where copies of a stream's log are, and so where to look for them: members in the order of a hash over stream and
 * member (rendezvous hashing, Thaler and Ravishankar 1998). Everybody who knows the same members has the same order,
 * and who comes or goes changes nothing in the order of the others.
 *
 * Copies stand in other zones than the entry node's where there are any, and in different ones: spot zones die together.
 */
import { fnv1a, scramble } from '../std/hash.ts';
import type { MemberId } from '../std/member-id.ts';

export type Candidate = {
  readonly id: MemberId;
  readonly zone: string;
  /** False: a copy that is there stays there, but no new one goes to it. */
  readonly isFit: boolean;
};

/** The order in which to ask who may hold it. */
export function ranked<T extends { readonly id: MemberId }>(stream: string, members: readonly T[]): T[] {
  return members
    .map((member) => ({ member, score: scoreOf(stream, member.id) }))
    .sort((a, b) => b.score - a.score || (a.member.id < b.member.id ? -1 : 1))
    .map(({ member }) => member);
}

/** The best member for one more copy; null: there is none left. */
export function nextPlace(
  stream: string,
  candidates: readonly Candidate[],
  /** Zone of the entry node first, then those of the copies that stand. */
  zones: readonly string[],
): Candidate | null {
  let best: Candidate | null = null;
  let bestScore = -1;
  for (const candidate of candidates) {
    if (!candidate.isFit) continue;
    const zone = zones.indexOf(candidate.zone);
    const distance = zone === -1 ? 2 : zone === 0 ? 0 : 1;
    const score = distance * 2 ** 32 + scoreOf(stream, candidate.id);
    if (score <= bestScore) continue;
    best = candidate;
    bestScore = score;
  }
  return best;
}

const scoreOf = (stream: string, member: string): number => scramble(fnv1a(member, fnv1a(stream)));
