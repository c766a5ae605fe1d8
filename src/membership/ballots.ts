/**
 * What observers said of one subject, and what follows from it.
 *
 * One ballot a voter. `refused` and `timeout` count for two seconds after they were cast and are repeated while the
 * evidence stands: votes without an end add up, over hours, to deaths that nobody saw. `slow` stands until it is
 * withdrawn, but not for longer than 20 s.
 *
 * A voter that nobody seconds makes its subject suspect for half of the time, and 40 s beyond that: what a lone
 * ballot holds is drawn from an allowance that refills half as fast as it is spent. A liar gains no more by repeating
 * itself; an honest observer whose own link is broken does not keep a healthy member out of use.
 */
import type { MemberId } from '../std/member-id.ts';
import { after, instant, never, type Instant } from '../std/time.ts';
import type { Evidence, Vote } from './events.ts';

/** Longer than a probe and a lost datagram, shorter than what could pile up from separate hiccups. */
export const hardMs = 2_000;
/** A quarter longer than the longest pause between two `slow` votes of one voter. */
export const slowMs = 20_000;
const loneMsMax = 40_000;
const loneRefill = 0.5;

type Ballot = {
  readonly evidence: Evidence | 'alive';
  readonly life: number;
  readonly sequence: number;
  readonly at: Instant;
  readonly until: Instant;
  /** Not drawn from the voter's allowance. */
  readonly isFree: boolean;
};

type Allowance = { readonly spentMs: number; readonly at: Instant };

export type Poll = {
  /** All ballots are about this incarnation of the subject. */
  readonly incarnation: number;
  readonly ballots: Map<MemberId, Ballot>;
  readonly allowances: Map<MemberId, Allowance>;
};

export type Tally = { readonly refused: number; readonly timeout: number; readonly slow: number };

export const newPoll = (incarnation: number): Poll => ({
  incarnation,
  ballots: new Map(),
  allowances: new Map(),
});

export const isHard = (evidence: Evidence | 'alive' | null): boolean =>
  evidence === 'refused' || evidence === 'timeout';

/** False: an older one, one that came too late, or one that the voter may not cast any more. */
export function cast(
  poll: Poll,
  by: MemberId,
  { vote, castAt }: { readonly vote: Vote; readonly castAt: Instant },
  now: Instant,
): boolean {
  const before = poll.ballots.get(by);
  if (before !== undefined && !outranks(vote, before)) return false;
  const { evidence, life, sequence } = vote;
  const lateMs = evidence === 'alive' ? 0 : now - castAt;
  const wishMs = (evidence === 'slow' ? slowMs : hardMs) - lateMs;
  const isFree = evidence === 'alive' || isSeconded(poll, by, now);
  const spent = spentMs(poll, by, now);
  const ms = isFree ? wishMs : Math.min(wishMs, loneMsMax - spent);
  // Over before it came; or in pieces shorter than a vote, by which the subject would flicker.
  if (wishMs <= 0 || ms < Math.min(wishMs, hardMs)) return false;
  poll.allowances.set(by, { spentMs: isFree ? spent : spent + ms, at: now });
  poll.ballots.set(by, { evidence, life, sequence, at: now, until: after(now, ms), isFree });
  return true;
}

const outranks = (vote: Vote, { life, sequence }: Ballot): boolean =>
  vote.life !== life ? vote.life > life : vote.sequence > sequence;

/**
 * The subject spoke to us after it was called slow. What was said of its kernel it disproves only by a new connection: a
 * word may have lain in our own buffers while its process ended.
 */
export function disprove(poll: Poll, proof: 'word' | 'connection', now: Instant): void {
  for (const [by, { evidence }] of poll.ballots) {
    if (evidence !== 'slow' && proof === 'word') continue;
    strike(poll, by, now);
  }
}

/** False: there was none of this voter. What it did not use of it is its own again. */
export function strike(poll: Poll, by: MemberId, now: Instant): boolean {
  if (!poll.ballots.has(by)) return false;
  poll.allowances.set(by, { spentMs: spentMs(poll, by, now), at: now });
  return poll.ballots.delete(by);
}

/** Counts what stands of those that `mayVote`. */
export function tally(poll: Poll, mayVote: (by: MemberId) => boolean, now: Instant): Tally {
  const count = { refused: 0, timeout: 0, slow: 0 };
  for (const [by, { evidence, until }] of poll.ballots) {
    if (evidence !== 'alive' && now < until && mayVote(by)) count[evidence]++;
  }
  return count;
}

export function saysSlow({ ballots }: Poll, by: MemberId, now: Instant): boolean {
  const ballot = ballots.get(by);
  return ballot?.evidence === 'slow' && now < ballot.until;
}

/** Fewer where there are fewer observers. */
export const refusalsToDie = 2;

/**
 * Two kernels that say that nobody listens, or more than half of the observers to whom nobody answers: with one that
 * lies among them, half are still honest. Up to three observers, all of them. `slow` never adds to it.
 */
export function isFatal({ refused, timeout }: Tally, observers: number): boolean {
  if (observers === 0) return false;
  const enough = observers <= 3 ? observers : Math.floor(observers / 2) + 1;
  return refused >= Math.min(refusalsToDie, observers) || refused + timeout >= enough;
}

/** Whether others have said enough for anybody to hold it dead. */
export function isRefusedByOthers(poll: Poll, self: MemberId, now: Instant): boolean {
  let count = 0;
  for (const [by, { evidence, until }] of poll.ballots)
    if (by !== self && evidence === 'refused' && now < until) count++;
  return count >= refusalsToDie;
}

/** When what this poll says changes by itself. */
export function nextExpiry(poll: Poll, now: Instant): Instant {
  let next: number = never;
  for (const { until } of poll.ballots.values()) if (until > now) next = Math.min(next, until);
  return instant(next);
}

/** Forgets what is over; true: nothing is left to remember. */
export function purge(poll: Poll, now: Instant): boolean {
  for (const [by, { until }] of poll.ballots) if (until <= now) poll.ballots.delete(by);
  for (const by of poll.allowances.keys()) if (spentMs(poll, by, now) === 0) poll.allowances.delete(by);
  return poll.ballots.size === 0 && poll.allowances.size === 0;
}

function isSeconded(poll: Poll, by: MemberId, now: Instant): boolean {
  for (const [other, { evidence, until }] of poll.ballots) {
    if (other !== by && evidence !== 'alive' && now < until) return true;
  }
  return false;
}

/** What its next ballot would begin with: what it did not use of its last one is its own again. */
function spentMs(poll: Poll, by: MemberId, now: Instant): number {
  const { spentMs: spent, at } = poll.allowances.get(by) ?? { spentMs: 0, at: now };
  const ballot = poll.ballots.get(by);
  const unusedMs = ballot === undefined || ballot.isFree ? 0 : Math.max(0, ballot.until - now);
  return Math.max(0, spent - unusedMs - (now - at) * loneRefill);
}
