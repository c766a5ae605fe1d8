/**
 * What one look at an engine's metrics says of its work, and how many requests it can run at once. No metric tells the
 * latter: where some wait it is as many as run; where none waits it is at least that, and perhaps as many again.
 */
import type { Instant } from '../std/time.ts';
import type { EngineMetrics } from './metrics.ts';

export type Load = Pick<EngineMetrics, 'running' | 'waiting' | 'kvUsage' | 'byModel'> & {
  readonly at: Instant;
  /** How many requests run at once before one waits; null: none was ever seen to wait. */
  readonly seats: number | null;
};

export function loadOf(
  { running, waiting, kvUsage, byModel }: EngineMetrics,
  before: Load | null,
  at: Instant,
): Load {
  const known = before?.seats ?? null;
  const seats = waiting > 0 ? running : known === null ? null : Math.max(known, 2 * running);
  return { running, waiting, kvUsage, byModel, at, seats };
}
