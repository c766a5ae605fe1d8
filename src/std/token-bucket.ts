/**
 * The token bucket: how much of something may be done, so much each second and a burst at once. It holds no clock: a
 * bucket is a level and the instant at which it had that level.
 *
 * Two ways to draw from it: `take` refuses when there is too little (a peer that asks too much, an API that answers
 * RequestLimitExceeded); `spend` always draws, into debt if need be, and says how long to wait until the debt is paid
 * (bandwidth).
 */
import type { Instant } from './time.ts';

export type Rate = {
  readonly perSecond: number;
  /** The most that accumulates while nobody draws. */
  readonly burst: number;
};

export type TokenBucket = { readonly rate: Rate; level: number; at: Instant };

export const fullBucket = (rate: Rate, now: Instant): TokenBucket => ({ rate, level: rate.burst, at: now });

/** False, and nothing drawn, when the bucket holds less than `amount`. */
export function take(bucket: TokenBucket, amount: number, now: Instant): boolean {
  refill(bucket, now);
  if (bucket.level < amount) return false;
  bucket.level -= amount;
  return true;
}

/** Draws `amount` and returns the milliseconds until the bucket is out of debt; 0 when it never was in any. */
export function spend(bucket: TokenBucket, amount: number, now: Instant): number {
  refill(bucket, now);
  bucket.level -= amount;
  return bucket.level >= 0 ? 0 : (-bucket.level / bucket.rate.perSecond) * 1_000;
}

function refill(bucket: TokenBucket, now: Instant): void {
  const gained = ((now - bucket.at) / 1_000) * bucket.rate.perSecond;
  bucket.level = Math.min(bucket.rate.burst, bucket.level + Math.max(0, gained));
  bucket.at = now;
}
