import type { Clock } from '../../src/node/ports.ts';
import { instant, wallTime } from '../../src/std/time.ts';

export type ManualClock = Clock & {
  /** Moves time on and fires what falls due on the way, in order. */
  advance(ms: number): void;
  /** How many wait for their time. */
  waiting(): number;
};

/** Time that stands still until a test moves it. `wall` is where the time of day starts, epoch ms. */
export function manualClock(wall = 1_790_000_000_000): ManualClock {
  let now = 1_000;
  const timers = new Set<{ readonly at: number; readonly wake: () => void }>();
  return {
    now: () => instant(now),
    wallNow: () => wallTime(wall + now),
    wakeAt(at, wake) {
      const timer = { at, wake };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    advance(ms) {
      const end = now + ms;
      for (;;) {
        const [due] = [...timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
        if (due === undefined) break;
        timers.delete(due);
        now = Math.max(now, due.at);
        due.wake();
      }
      now = end;
    },
    waiting: () => timers.size,
  };
}
