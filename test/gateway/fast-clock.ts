import type { Clock } from '../../src/node/ports.ts';
import { systemClock } from '../../src/os/clock.ts';
import { after, type Instant } from '../../src/std/time.ts';

type Wake = { readonly at: Instant; readonly wake: () => void; disarm: () => void };

/** Real time, and more of it when a test says so: what is due by then comes at once. */
export function fastClock(): { readonly clock: Clock; readonly skip: (ms: number) => void } {
  let skippedMs = 0;
  const pending = new Set<Wake>();
  const arm = (one: Wake): void => {
    one.disarm = systemClock.wakeAt(after(one.at, -skippedMs), () => {
      pending.delete(one);
      one.wake();
    });
  };
  const clock: Clock = {
    ...systemClock,
    now: () => after(systemClock.now(), skippedMs),
    wakeAt: (at, wake) => {
      const one: Wake = { at, wake, disarm: () => {} };
      pending.add(one);
      arm(one);
      return () => {
        pending.delete(one);
        one.disarm();
      };
    },
  };
  const skip = (ms: number): void => {
    skippedMs += ms;
    for (const one of pending) {
      one.disarm();
      arm(one);
    }
  };
  return { clock, skip };
}
