import type { Rng } from '../std/random.ts';
import { after, earliest, instant, never, type Instant } from '../std/time.ts';
import {
  heldMs,
  pulseMs,
  rankDelayMs,
  renewMs,
  stallMsMax,
  takeoverMs,
  watchMs,
  type Lease,
  type Terms,
} from './terms.ts';

/** `over`: the ETag that it replaces; null: nothing. */
export type Write = { readonly lease: Lease; readonly over: string | null; readonly sentAt: Instant };
type Call = { readonly ask: number; readonly until: Instant; readonly write: Write | null };

export type Seen = {
  readonly lease: Lease | null;
  readonly etag: string | null;
  /** When the first answer came that showed it. */
  readonly since: Instant;
  /** When the last one did. */
  readonly readAt: Instant;
};

export type LeaseState = {
  readonly terms: Terms;
  rng: Rng;
  rank: number | null;
  releasing: boolean;
  /** The last of our writes that S3 is known to hold; null: the last word is not ours. */
  own: {
    readonly lease: Lease;
    readonly etag: string;
    readonly since: Instant;
    /** A holder whose object was deleted may be at work until then: what was made out of nothing waits. */
    readonly from: Instant;
  } | null;
  /** Writes without an answer, which may be there, or yet come to be there. */
  unsure: readonly Write[];
  /** The last word of others, or that there is none (`lease` null), and since when we have known it. */
  seen: Seen | null;
  call: Call | null;
  /** When to call next, while no call is under way. */
  nextAt: Instant;
  /** What the last write was to replace, when it was refused; read again before the next. */
  refused: { readonly over: string | null } | null;
  /** In a row. */
  failures: number;
  calls: number;
  /** The highest epoch heard of. */
  highest: number;
  /** Renewals sent before this prove nothing. */
  trustedFrom: Instant;
  worstStall: { readonly ms: number; readonly at: Instant };
  steppedAt: Instant;
  /** The epoch under which we said that we hold it. */
  told: number | null;
  /** The epoch that lapsed and may be regained. */
  lapsed: number | null;
};

export const init = (terms: Terms, rng: Rng, now: Instant): LeaseState => ({
  terms,
  rng,
  rank: null,
  releasing: false,
  own: null,
  unsure: [],
  seen: null,
  call: null,
  nextAt: never,
  refused: null,
  failures: 0,
  calls: 0,
  highest: 0,
  trustedFrom: now,
  worstStall: { ms: 0, at: now },
  steppedAt: now,
  told: null,
  lapsed: null,
});

/** To be asked before every effect, and again after every wait: null means stop. */
export function holds(state: LeaseState, now: Instant): { readonly epoch: number } | null {
  const { own, terms } = state;
  if (own === null || state.releasing || own.since < state.trustedFrom) return null;
  if (own.lease.epoch < state.highest || now < own.from || now >= heldUntil(state)) return null;
  return now - deadline(state) > stallMsMax(terms) ? null : { epoch: own.lease.epoch };
}

/** Nothing of ours is left in S3 that we know of, and nothing under way. */
export const isAtRest = (state: LeaseState): boolean =>
  state.own === null && !state.releasing && state.call === null && state.rank === null;

export function deadline(state: LeaseState): Instant {
  const { own, steppedAt } = state;
  const begins = own !== null && own.from > steppedAt ? own.from : never;
  const next = earliest(state.call?.until ?? state.nextAt, begins);
  if (state.told === null) return next;
  return earliest(next, heldUntil(state), after(steppedAt, pulseMs(state.terms)));
}

/** When we stop, if no renewal succeeds before. */
const heldUntil = ({ own, terms, worstStall }: LeaseState): Instant =>
  own === null ? instant(-Infinity) : after(own.since, heldMs(terms, worstStall.ms));

/** Nothing about our lease needs a word with S3 before the next renewal. */
export function isFirm(state: LeaseState, now: Instant): boolean {
  const { own, highest, trustedFrom } = state;
  if (own === null || state.releasing) return false;
  return own.lease.epoch >= highest && own.since >= trustedFrom && now < heldUntil(state);
}

/** From when on we may write over what was seen. */
function startAt({ terms, rank }: LeaseState, { lease, since }: Seen): Instant {
  const waitMs = lease === null || lease.released ? 0 : takeoverMs(terms, lease);
  return after(since, waitMs + rankDelayMs(rank ?? 0));
}

/** Whether the last read came after that instant. */
export const mayClaim = (state: LeaseState, seen: Seen): boolean => seen.readAt >= startAt(state, seen);

/**
 * At its rank's leisure; but where nobody is at work, or a holder has let more than one renewal pass, exactly when it
 * may be taken. In the past: it may be taken now, on what was read last.
 */
export function nextLook(state: LeaseState, seen: Seen, rank: number): Instant {
  const start = startAt(state, seen);
  if (seen.readAt >= start) return seen.readAt;
  const regular = after(seen.readAt, watchMs(state.terms, rank));
  const idle = seen.lease === null || seen.lease.released;
  return idle || seen.readAt - seen.since > 1.5 * renewMs(state.terms) ? earliest(regular, start) : regular;
}
