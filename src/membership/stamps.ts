/**
 * How long a word was on its way. TCP holds back what cannot pass, for as long as half of the outage and longer, and
 * then delivers all of it in order; a process that stood still reads what lay in its buffers. A vote that comes so is
 * true of the past, and several of them together would be a death that nobody sees.
 *
 * So beats and votes carry a stamp: milliseconds by a clock of the sender, which nobody else need know how to read. The
 * least difference between our clock and its stamps is the difference of the clocks and the shortest way; what a stamp
 * exceeds it by was spent on the way. The least may grow by a hundredth of the time since it was seen: far more than
 * crystals drift apart, and enough to forgive a machine that was suspended.
 */
import { instant, type Instant } from '../std/time.ts';

const drift = 0.01;

/** Least difference of our clock to the sender's stamps, ms, and when it was seen: it changes with nearly each stamp. */
export type Lag = { ms: number; at: Instant };

/** The same one, brought up to date. null: no stamp of this sender has been seen. */
export function lagAfter(lag: Lag | null, stamp: number, now: Instant): Lag {
  const ms = now - stamp;
  if (lag === null) return { ms, at: now };
  if (ms > leastAt(lag, now)) return lag;
  lag.ms = ms;
  lag.at = now;
  return lag;
}

/** When it was said, by our own clock, or a little later; never after now. */
export const saidAt = (lag: Lag | null, stamp: number, now: Instant): Instant =>
  lag === null ? now : instant(Math.min(now, stamp + leastAt(lag, now)));

const leastAt = ({ ms, at }: Lag, now: Instant): number => ms + (now - at) * drift;
