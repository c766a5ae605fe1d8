import type { Instant } from '../std/time.ts';

/** A token bucket: how much of something may still be done, as of an instant. Begins full with `left: Infinity`. */
export type Allowance = { left: number; at: Instant };

export type Limit = { readonly perSecond: number; readonly burst: number };

export function affords(allowance: Allowance, limit: Limit, now: Instant): boolean {
  const earned = (Math.max(0, now - allowance.at) / 1_000) * limit.perSecond;
  allowance.left = Math.min(limit.burst, allowance.left + earned);
  allowance.at = now;
  return allowance.left >= 1;
}

/** Takes `count`, as far as there is any: the last of it may be less. False: there was nothing, and nothing is taken. */
export function take(allowance: Allowance, limit: Limit, count: number, now: Instant): boolean {
  if (!affords(allowance, limit, now)) return false;
  allowance.left = Math.max(0, allowance.left - count);
  return true;
}
