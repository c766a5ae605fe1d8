/**
 * How often an engine may fail before its restarts slow down. Failures older than the window are forgotten, so the
 * budget comes back by itself; it is never so spent that no further attempt is made.
 */
import { backoffMs } from '../std/backoff.ts';
import { draw, type Rng } from '../std/random.ts';
import type { Instant } from '../std/time.ts';

export type Budget = {
  /** Restarts allowed within `windowMs` before the slow pace begins. */
  readonly restartsMax: number;
  readonly windowMs: number;
  /** First and largest ceiling of the backoff, ms. */
  readonly backoffBaseMs: number;
  readonly backoffCapMs: number;
  /** Pace of the attempts once the budget is spent, ms. */
  readonly slowMs: number;
};

/** Oldest first; one more than the budget is enough to know that it is spent. */
export function remember(failures: readonly Instant[], budget: Budget, now: Instant): readonly Instant[] {
  const recent = failures.filter((at) => now - at < budget.windowMs);
  return [...recent, now].slice(-(budget.restartsMax + 1));
}

export const isSpent = (failures: readonly Instant[], budget: Budget): boolean =>
  failures.length > budget.restartsMax;

/** The wait before the next attempt: doubling with every failure in the window, or the slow pace; jittered. */
export function pauseMs(failures: readonly Instant[], budget: Budget, rng: Rng): [ms: number, next: Rng] {
  if (!isSpent(failures, budget)) {
    const attempt = failures.length - 1;
    return backoffMs({ attempt, baseMs: budget.backoffBaseMs, capMs: budget.backoffCapMs }, rng);
  }
  const [jitterMs, next] = draw(rng, Math.max(1, Math.floor(budget.slowMs / 10)));
  return [budget.slowMs + jitterMs, next];
}
