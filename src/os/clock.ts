import type { Clock } from '../node/ports.ts';
import { instant, wallTime } from '../std/time.ts';

/** The longest wait of a Node.js timer, ms (2^31 - 1); a longer one would fire at once. */
const timerMsMax = 2_147_483_647;

export const systemClock: Clock = {
  now: () => instant(performance.now()),
  wallNow: () => wallTime(Date.now()),
  wakeAt(at, wake) {
    let timer: NodeJS.Timeout | undefined;
    /** Timers count whole milliseconds and may fire a fraction early, so the clock is asked again. */
    const arm = (): void => {
      const waitMs = Math.min(Math.ceil(at - performance.now()), timerMsMax);
      timer = setTimeout(() => (performance.now() >= at ? wake() : arm()), Math.max(0, waitMs));
    };
    if (at !== Infinity) arm();
    return () => clearTimeout(timer);
  },
};
