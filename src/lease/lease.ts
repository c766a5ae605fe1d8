/**
 * A right that one node has for a time, with S3's conditional writes as the referee.
 *
 * The object `leases/<duty>` names holder and epoch. Whoever changes it says which ETag he has seen (or that there was
 * none), so of several writers one wins. What it gives: epochs that only rise, one holder each. What no lease can
 * give: that a holder which stands still knows so. Hence `holds` is asked before every effect, and what must never
 * happen twice is committed under the epoch, where a lower one is refused (Kleppmann, "How to do distributed
 * locking", 2016; Gray and Cheriton, "Leases", 1989).
 *
 * The machine knows at most one call to be under way, and after any call that did not end in a clear answer it reads
 * before it does anything else. All that it counts, it counts from the safe end: a renewal from when it was sent, the
 * silence of others from when their word arrived.
 */
import { unreachable } from '../std/assert.ts';
import { backoffMs } from '../std/backoff.ts';
import type { FailureKind } from '../std/failure.ts';
import type { MemberId } from '../std/member-id.ts';
import { after, never, type Instant } from '../std/time.ts';
import {
  deadline,
  holds,
  isFirm,
  nextLook,
  mayClaim,
  type LeaseState,
  type Seen,
  type Write,
} from './state.ts';
import { answerMs, renewMs, stallMsMax, takeoverMs, watchMs, type Lease } from './terms.ts';

export type LeaseEvent =
  /** How many come before us in the order of candidates; null: we do not want it. A holder keeps what it holds. */
  | { readonly type: 'ranked'; readonly rank: number | null }
  | { readonly type: 'found'; readonly ask: number; readonly lease: Lease; readonly etag: string }
  | { readonly type: 'absent'; readonly ask: number }
  | { readonly type: 'written'; readonly ask: number; readonly etag: string }
  /** What the write was to replace is not there any more. */
  | { readonly type: 'unmet'; readonly ask: number }
  /** The write met another one under way: nothing was written, and who wins is not known yet. */
  | { readonly type: 'conflict'; readonly ask: number }
  | { readonly type: 'failed'; readonly ask: number; readonly kind: FailureKind }
  /** An epoch that somebody has or had: from a manifest, or from a peer. */
  | { readonly type: 'outranked'; readonly epoch: number }
  /** Time has passed that the monotonic clock did not count: the machine was suspended. */
  | { readonly type: 'slipped' }
  | { readonly type: 'release' }
  | { readonly type: 'tick' };

type LeaseFact =
  | { readonly fact: 'lease.acquired'; readonly epoch: number }
  | { readonly fact: 'lease.lapsed'; readonly epoch: number }
  | { readonly fact: 'lease.regained'; readonly epoch: number }
  | { readonly fact: 'lease.lost'; readonly epoch: number; readonly to: MemberId | null }
  | { readonly fact: 'lease.released'; readonly epoch: number }
  | { readonly fact: 'lease.stalled'; readonly stallMs: number }
  | { readonly fact: 'lease.failed'; readonly kind: FailureKind; readonly failures: number };

export type LeaseEffect =
  | { readonly type: 'read'; readonly ask: number; readonly withinMs: number }
  /** `etag` null: only if there is nothing yet. */
  | {
      readonly type: 'write';
      readonly ask: number;
      readonly withinMs: number;
      readonly lease: Lease;
      readonly etag: string | null;
    }
  | { readonly type: 'fact'; readonly fact: LeaseFact };

/** More are under way only when S3 answers nothing at all; the oldest is forgotten, and if it is there, replaced. */
const unsureMax = 8;
const backoffBaseMs = 100;
/** Where a person must act first. */
const hopelessMs = 60_000;
const stallRememberedMs = 600_000;

type Step = readonly [LeaseState, readonly LeaseEffect[]];

export function step(state: LeaseState, event: LeaseEvent, now: Instant): Step {
  const effects: LeaseEffect[] = [];
  heedStall(state, now, effects);
  state.steppedAt = now;
  take(state, event, now, effects);
  if (state.call !== null && state.call.until <= now) fail(state, 'late', now, effects);
  if (state.call === null && state.nextAt <= now) effects.push(callNext(state, now));
  tell(state, now, effects);
  return [state, effects];
}

function take(state: LeaseState, event: LeaseEvent, now: Instant, effects: LeaseEffect[]): void {
  switch (event.type) {
    case 'ranked':
      state.rank = event.rank;
      return plan(state, now);
    case 'outranked':
      state.highest = Math.max(state.highest, event.epoch);
      return plan(state, now);
    case 'slipped':
      return distrust(state, now);
    case 'release':
      state.rank = null;
      state.releasing = state.own !== null || state.unsure.length > 0 || (state.call?.write ?? null) !== null;
      return plan(state, now);
    case 'tick':
      return;
    case 'found':
    case 'absent':
    case 'written':
    case 'unmet':
    case 'conflict':
    case 'failed':
      if (event.ask === state.call?.ask) answered(state, { event, write: state.call.write }, now, effects);
      return;
    default:
      return unreachable(event);
  }
}

type Answered = {
  readonly event: Extract<LeaseEvent, { readonly ask: number }>;
  readonly write: Write | null;
};

function answered(state: LeaseState, { event, write }: Answered, now: Instant, effects: LeaseEffect[]): void {
  if (event.type === 'failed') return fail(state, event.kind, now, effects);
  state.call = null;
  switch (event.type) {
    case 'written':
      if (write !== null) confirm(state, write, event.etag, now, effects);
      break;
    case 'found':
    case 'absent':
      if (event.type === 'found') onFound(state, event, now, effects);
      else onAbsent(state, now, effects);
      if (state.refused?.over === (event.type === 'found' ? event.etag : null)) {
        // S3 refuses to replace what it then shows: no store does that twice, unless something is wrong with it.
        state.refused = null;
        return retreat(state, now, watchMs(state.terms, state.rank ?? 0));
      }
      break;
    case 'unmet':
      // Whose word stands instead is read at once: it may be our own, of a write whose answer was lost.
      state.refused = { over: write?.over ?? null };
      state.nextAt = now;
      return;
    case 'conflict':
      return retreat(state, now, answerMs(state.terms));
    default:
      return unreachable(event);
  }
  state.failures = 0;
  state.refused = null;
  plan(state, now);
}

/** Our write is what stands. What else we sent over the same ETag, or an older one, can never be written now. */
function confirm(state: LeaseState, write: Write, etag: string, now: Instant, effects: LeaseEffect[]): void {
  const { lease, sentAt: since } = write;
  state.unsure = [];
  state.highest = Math.max(state.highest, lease.epoch);
  state.seen = lease.released ? { lease, etag, since: now, readAt: now } : null;
  const from = write.over === null ? after(now, takeoverMs(state.terms, null)) : (state.own?.from ?? since);
  state.own = lease.released ? null : { lease, etag, since, from };
  if (lease.released) {
    state.releasing = false;
    effects.push(fact({ fact: 'lease.released', epoch: lease.epoch }));
  }
}

function onFound(
  state: LeaseState,
  { lease, etag }: { readonly lease: Lease; readonly etag: string },
  now: Instant,
  effects: LeaseEffect[],
): void {
  const ours = state.unsure.find((write) => write.lease.nonce === lease.nonce);
  if (ours !== undefined) return confirm(state, ours, etag, now, effects);
  state.highest = Math.max(state.highest, lease.epoch);
  state.unsure = state.unsure.filter(({ over }) => over === etag);
  if (state.own?.etag === etag) return;
  lose(state, lease.released ? null : lease.holder, effects);
  see(state, { lease, etag, since: now, readAt: now });
}

/** There was none yet, or somebody deleted it: which of the two cannot be known, hence `from`. */
function onAbsent(state: LeaseState, now: Instant, effects: LeaseEffect[]): void {
  state.unsure = state.unsure.filter(({ over }) => over === null);
  lose(state, null, effects);
  see(state, { lease: null, etag: null, since: now, readAt: now });
}

function see(state: LeaseState, seen: Seen): void {
  state.seen = state.seen?.etag === seen.etag ? { ...seen, since: state.seen.since } : seen;
  // A write of ours may still be on its way, and come to stand for a holder that is gone: it ends by its ttl.
  if (state.releasing) state.unsure = [];
}

function lose(state: LeaseState, to: MemberId | null, effects: LeaseEffect[]): void {
  if (state.own === null) return;
  effects.push(fact({ fact: 'lease.lost', epoch: state.own.lease.epoch, to }));
  state.own = null;
  state.told = null;
  state.lapsed = null;
}

function fail(state: LeaseState, kind: FailureKind, now: Instant, effects: LeaseEffect[]): void {
  const write = state.call?.write ?? null;
  state.call = null;
  if (write !== null) state.unsure = [...state.unsure, write].slice(-unsureMax);
  const hopeless = kind === 'denied' || kind === 'missing' || kind === 'invalid';
  const engaged = state.own !== null || state.releasing;
  const patientMs = hopeless ? hopelessMs : watchMs(state.terms, state.rank ?? 0);
  retreat(state, now, engaged ? answerMs(state.terms) : patientMs);
  // The first, second, fourth, eighth …: an outage of S3 is told by every candidate, and need not be told often.
  const { failures } = state;
  if ((failures & (failures - 1)) === 0) effects.push(fact({ fact: 'lease.failed', kind, failures }));
}

function retreat(state: LeaseState, now: Instant, capMs: number): void {
  const [waitMs, rng] = backoffMs({ attempt: state.failures, baseMs: backoffBaseMs, capMs }, state.rng);
  state.rng = rng;
  state.failures += 1;
  state.nextAt = after(now, waitMs);
}

/** When to call next, from all that is known. A failed call's backoff stands. */
function plan(state: LeaseState, now: Instant): void {
  if (state.failures > 0 || state.call !== null) return;
  const { rank, seen, terms } = state;
  // Nobody has worked under it yet, and a marker would let the next one work too soon.
  if (state.releasing && state.own !== null && now < state.own.from) state.own = null;
  const { own } = state;
  if (state.releasing && own === null && state.unsure.length === 0) state.releasing = false;
  if (own !== null) state.nextAt = isFirm(state, now) ? after(own.since, renewMs(terms)) : now;
  else if (state.releasing) state.nextAt = now;
  else if (rank === null) state.nextAt = never;
  else state.nextAt = seen === null ? now : nextLook(state, seen, rank);
}

/** `released` marker, renewal, claim or read. Nothing is written before the last call ended in a clear answer. */
function callNext(state: LeaseState, now: Instant): LeaseEffect {
  const { terms, own, seen, highest } = state;
  state.calls += 1;
  const ask = state.calls;
  const withinMs = answerMs(terms);
  const until = after(now, withinMs);
  const body = { holder: terms.self, nonce: `${terms.run}.${ask}`, ttlMs: terms.ttlMs };
  const write = (epoch: number, over: string | null): LeaseEffect => {
    const lease: Lease = { epoch, ...body, released: state.releasing };
    state.call = { ask, until, write: { lease, over, sentAt: now } };
    return { type: 'write', ask, withinMs, lease, etag: over };
  };
  const clear = state.failures === 0 && state.refused === null;
  if (clear && own !== null) {
    const outranked = own.lease.epoch < highest && !state.releasing;
    return write(outranked ? highest + 1 : own.lease.epoch, own.etag);
  }
  const wanted = clear && !state.releasing && state.rank !== null;
  if (wanted && seen !== null && mayClaim(state, seen)) return write(highest + 1, seen.etag);
  state.call = { ask, until, write: null };
  return { type: 'read', ask, withinMs };
}

/** A process that stood still may have missed anything; what it was sure of before, it is not sure of any more. */
function heedStall(state: LeaseState, now: Instant, effects: LeaseEffect[]): void {
  const stallMs = now - deadline(state);
  const { worstStall, terms } = state;
  if (now - worstStall.at > stallRememberedMs) state.worstStall = { ms: 0, at: now };
  if (stallMs > state.worstStall.ms) state.worstStall = { ms: stallMs, at: now };
  if (stallMs <= stallMsMax(terms) || state.own === null) return;
  effects.push(fact({ fact: 'lease.stalled', stallMs }));
  distrust(state, now);
}

/** What was sent before now proves nothing any more; a renewal goes out at once. */
function distrust(state: LeaseState, now: Instant): void {
  state.trustedFrom = now;
  plan(state, now);
}

function tell(state: LeaseState, now: Instant, effects: LeaseEffect[]): void {
  const epoch = holds(state, now)?.epoch ?? null;
  const { told } = state;
  if (epoch === told) return;
  state.told = epoch;
  if (epoch !== null) {
    effects.push(fact({ fact: state.lapsed === epoch ? 'lease.regained' : 'lease.acquired', epoch }));
    state.lapsed = null;
  } else if (told !== null && !state.releasing) {
    effects.push(fact({ fact: 'lease.lapsed', epoch: told }));
    state.lapsed = told;
  }
}

const fact = (told: LeaseFact): LeaseEffect => ({ type: 'fact', fact: told });
