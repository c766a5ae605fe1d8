import type { Clock } from '../node/ports.ts';
import { instant, wallTime } from '../std/time.ts';

/** The longest wait of a Node.js timer, ms (2^31 - 1); a longer one would fire at once. */
const timerMsMax = 2_147_483_647;

/**
 * When this thread began to count performance.now(), in ms of the one counter that all threads share. A thread that is
 * told another's origin counts from there, so that instants of both compare.
 */
export const originMs = Number(process.hrtime.bigint()) / 1e6 - performance.now();

export const systemClock = clockSince(originMs);

export function clockSince(origin: number): Clock {
  const shiftMs = originMs - origin;
  const now = (): number => performance.now() + shiftMs;
  return {
    now: () => instant(now()),
    wallNow: () => wallTime(Date.now()),
    wakeAt(at, wake) {
      let timer: NodeJS.Timeout | undefined;
      /** Timers count whole milliseconds and may fire a fraction early, so the clock is asked again. */
      const arm = (): void => {
        const waitMs = Math.min(Math.ceil(at - now()), timerMsMax);
        timer = setTimeout(() => (now() >= at ? wake() : arm()), Math.max(0, waitMs));
      };
      if (at !== Infinity) arm();
      return () => clearTimeout(timer);
    },
  };
}
