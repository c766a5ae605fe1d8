/**
 * What observers said of one subject, and what follows from it.
 *
 * One ballot a voter. `refused` and `timeout` count for two seconds after they came and are repeated while the evidence
 * stands: votes without an end add up, over hours, to deaths that nobody saw. `slow` stands until it is withdrawn, but
 * not for longer than 40 s.
 *
 * A voter that nobody seconds makes its subject suspect for at most 40 s, and then for half of the time: what a lone
 * ballot holds is drawn from an allowance that refills half as fast as it is spent. A liar gains no more by repeating
 * itself; an honest observer whose own link is broken does not keep a healthy member out of use.
 */
import type { MemberId } from '../std/member-id.ts';
import { after, instant, never, type Instant } from '../std/time.ts';
import type { Evidence, Vote } from './events.ts';

/** Longer than a probe and a lost datagram, shorter than what could pile up from separate hiccups. */
export const hardMs = 2_000;
/** A quarter longer than the longest pause between two `slow` votes of one voter. */
export const slowMs = 40_000;
const loneMsMax = 40_000;
const loneRefill = 0.5;

type Ballot = {
  readonly evidence: Evidence | 'alive';
  readonly sequence: number;
  readonly at: Instant;
  readonly until: Instant;
};

type Allowance = { spentMs: number; at: Instant };

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

/** False: an older one, or one that the voter may not cast any more. */
export function cast(poll: Poll, by: MemberId, vote: Vote, now: Instant): boolean {
  const before = poll.ballots.get(by);
  if (before !== undefined && vote.sequence <= before.sequence) return false;
  const { evidence, sequence } = vote;
  if (before !== undefined) refund(poll, by, before, now);
  const wishMs = evidence === 'slow' ? slowMs : hardMs;
  const ms = evidence === 'alive' || isSeconded(poll, by, now) ? wishMs : spend(poll, by, wishMs, now);
  poll.ballots.set(by, { evidence, sequence, at: now, until: after(now, ms) });
  return ms > 0;
}

/**
 * The subject spoke to us after it was called slow. What was said of its kernel it disproves only by a new connection: a
 * word may have lain in our own buffers while its process ended.
 */
export function disprove(poll: Poll, proof: 'word' | 'connection', now: Instant): void {
  for (const [by, ballot] of poll.ballots) {
    if (ballot.evidence !== 'slow' && proof === 'word') continue;
    refund(poll, by, ballot, now);
    poll.ballots.delete(by);
  }
}

/** Counts what stands of those that `mayVote`. */
export function tally(poll: Poll, mayVote: (by: MemberId) => boolean, now: Instant): Tally {
  const count = { refused: 0, timeout: 0, slow: 0 };
  for (const [by, { evidence, until }] of poll.ballots) {
    if (evidence !== 'alive' && now < until && mayVote(by)) count[evidence]++;
  }
  return count;
}

/**
 * Two kernels that say that nobody listens, or half of the observers to whom nobody answers. Up to three observers, all
 * of them: with so few there is no majority to speak of. `slow` never adds to it.
 */
export function isFatal({ refused, timeout }: Tally, observers: number): boolean {
  if (observers === 0) return false;
  const enough = observers <= 3 ? observers : Math.ceil(observers / 2);
  return refused >= Math.min(2, observers) || refused + timeout >= enough;
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

function spend(poll: Poll, by: MemberId, wishMs: number, now: Instant): number {
  const spent = spentMs(poll, by, now);
  const ms = Math.min(wishMs, loneMsMax - spent);
  poll.allowances.set(by, { spentMs: spent + ms, at: now });
  return ms;
}

/** What it did not use of its last ballot is its own again. */
function refund(poll: Poll, by: MemberId, { evidence, until }: Ballot, now: Instant): void {
  const allowance = poll.allowances.get(by);
  if (allowance === undefined || evidence === 'alive' || until <= now) return;
  allowance.spentMs = Math.max(0, spentMs(poll, by, now) - (until - now));
  allowance.at = now;
}

function spentMs(poll: Poll, by: MemberId, now: Instant): number {
  const allowance = poll.allowances.get(by);
  return allowance === undefined ? 0 : Math.max(0, allowance.spentMs - (now - allowance.at) * loneRefill);
}
