/**
 * Whether a serving engine lives, judged by its token counters and not by `/health`, which is only a flag: an engine
 * core stuck in the GPU's driver leaves `/health` at 200 for hours, with work in hand and counters that stand still.
 *
 * Only time that was watched counts. A gap between two looks that is longer than we ask for is a stall of our own (the
 * whole machine frozen, a suspended laptop), during which the engine may have stood still through no fault of its own.
 */
import type { Instant } from '../std/time.ts';
import type { EngineMetrics } from './metrics.ts';

export type Liveness = {
  readonly seenAt: Instant;
  /** Prompt plus generated tokens at the last good look; null before the first. */
  readonly tokens: number | null;
  /** Watched time with work in hand and no token, ms. */
  readonly stuckMs: number;
  /** Watched time without an answer, ms. */
  readonly silentMs: number;
};

export const unseen = (now: Instant): Liveness => ({ seenAt: now, tokens: null, stuckMs: 0, silentMs: 0 });

/** `gapMs`: the longest time between two looks that is no stall of ours. */
export function looked(before: Liveness, metrics: EngineMetrics, now: Instant, gapMs: number): Liveness {
  const tokens = metrics.promptTokens + metrics.generationTokens;
  const idle = metrics.running + metrics.waiting === 0;
  const stuck = !idle && tokens === before.tokens;
  const stuckMs = stuck ? before.stuckMs + watchedMs(before, now, gapMs) : 0;
  return { seenAt: now, tokens, stuckMs, silentMs: 0 };
}

export const missed = (before: Liveness, now: Instant, gapMs: number): Liveness => ({
  ...before,
  seenAt: now,
  silentMs: before.silentMs + watchedMs(before, now, gapMs),
});

const watchedMs = (before: Liveness, now: Instant, gapMs: number): number =>
  Math.min(now - before.seenAt, gapMs);
