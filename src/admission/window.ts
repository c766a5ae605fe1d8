/** Sums over the last minute, in buckets of a second: what is older than 60 s is gone within a second. */
import type { Instant } from '../std/time.ts';

export const windowMs = 60_000;
const bucketMs = 1_000;
const buckets = windowMs / bucketMs;

export type Window = { readonly counts: Float64Array; sum: number; second: number };

export const newWindow = (now: Instant): Window => ({
  ...{ counts: new Float64Array(buckets), sum: 0, second: Math.floor(now / bucketMs) },
});

export function add(window: Window, amount: number, now: Instant): void {
  roll(window, now);
  window.counts[window.second % buckets]! += amount;
  window.sum += amount;
}

/** Of what was added at `at`. False: that is too old to count. */
export function takeBack(
  window: Window,
  { amount, at }: { readonly amount: number; readonly at: Instant },
  now: Instant,
): boolean {
  roll(window, now);
  const second = Math.floor(at / bucketMs);
  if (second <= window.second - buckets) return false;
  window.counts[second % buckets]! -= amount;
  window.sum -= amount;
  return true;
}

export function sumOf(window: Window, now: Instant): number {
  roll(window, now);
  return window.sum;
}

/** Of the last few seconds. */
export function recentOf(window: Window, seconds: number, now: Instant): number {
  roll(window, now);
  let sum = 0;
  for (let i = 0; i < seconds; i++) sum += window.counts[(window.second - i + buckets) % buckets]!;
  return sum;
}

/** Until something of it is too old to count; 0: nothing is in it. */
export function untilLess(window: Window, now: Instant): number {
  roll(window, now);
  for (let age = buckets - 1; age >= 0; age--) {
    const second = window.second - age;
    if (window.counts[(second + buckets) % buckets]! > 0) return (second + buckets) * bucketMs - now;
  }
  return 0;
}

function roll(window: Window, now: Instant): void {
  const second = Math.floor(now / bucketMs);
  const steps = Math.min(second - window.second, buckets);
  for (let i = 1; i <= steps; i++) {
    const at = (second - steps + i) % buckets;
    window.sum -= window.counts[at]!;
    window.counts[at] = 0;
  }
  window.second = Math.max(window.second, second);
}
