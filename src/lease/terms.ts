/**
 * What a lease is, and its arithmetic. Everything follows from the ttl, so that holder and taker cannot be configured
 * against each other.
 *
 *   write sent          renewal                       holder stops          others may take
 *   |--- ttl/3 ---------|---- ... --------------------|                     |
 *   0                                      ttl - 20 % - own worst stall     ttl + 20 %, from when the taker saw it
 *
 * No time of day is stored or compared (after the lock client of DynamoDB): each side measures the one ttl by its own
 * monotonic clock. The two margins together leave half as much again between them, where drift is a few per mille.
 */
import type { MemberId } from '../std/member-id.ts';

/** What is written. It is never deleted: the epoch of a lease that is gone would be lost, and used again. */
export type Lease = {
  /** The fence: one holder each, and every later holder has a higher one. */
  readonly epoch: number;
  readonly holder: MemberId;
  /** Of one write: `<run>.<count>`. So no two bodies are equal, nor their ETags, nor can a writer miss its own. */
  readonly nonce: string;
  readonly ttlMs: number;
  /** Nobody holds it; all that remains is the epoch. */
  readonly released: boolean;
};

export type Terms = {
  readonly self: MemberId;
  /** Of this process and no other, ever: a restarted process must not take its predecessor's writes for its own. */
  readonly run: string;
  readonly ttlMs: number;
};

/** Clocks that run apart, the way of an effect to S3, and pauses too short to be noticed. */
const marginShare = 0.2;
/** A worse stall than this cannot be covered by waiting less: renewals would not fit any more. The fence covers it. */
const stallShareMax = 0.3;
/** What one candidate needs to read, write and be seen by the next. */
const rankMs = 250;
const rankDelayMsMax = 5_000;
/** Candidates that look often enough to take over in time, whoever of them dies too. */
const closeRanks = 3;

export const renewMs = ({ ttlMs }: Terms): number => ttlMs / 3;
/** Two calls fit between a renewal that fails and the end of the lease. */
export const answerMs = ({ ttlMs }: Terms): number => ttlMs / 6;
/** A tick this late says that the process stood still. */
export const stallMsMax = ({ ttlMs }: Terms): number => ttlMs / 10;
/** How often a holder looks at the clock, to find out how long it can stand still. */
export const pulseMs = ({ ttlMs }: Terms): number => Math.min(500, ttlMs / 12);

export const heldMs = ({ ttlMs }: Terms, worstStallMs: number): number =>
  ttlMs * (1 - marginShare) - Math.min(worstStallMs, ttlMs * stallShareMax);

/** From when a taker saw it: the longer ttl, because the two may be of different versions. */
export const takeoverMs = ({ ttlMs }: Terms, seen: Lease | null): number =>
  Math.max(ttlMs, seen?.ttlMs ?? 0) * (1 + marginShare);

export const rankDelayMs = (rank: number): number => Math.min(rank * rankMs, rankDelayMsMax);

/** Rarer the less likely it is to matter: a thousand candidates together read about as often as twenty would. */
export const watchMs = (terms: Terms, rank: number): number =>
  renewMs(terms) * (1 + Math.floor(rank / closeRanks));
