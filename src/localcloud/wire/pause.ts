import type { Clock } from '../../node/ports.ts';
import { after } from '../../std/time.ts';

/** Waits on the injected clock; returns early, without a word, when `signal` is aborted. */
export async function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  if (ms <= 0 || signal.aborted) return;
  await new Promise<void>((resolve) => {
    const stop = (): void => {
      disarm();
      resolve();
    };
    const disarm = clock.wakeAt(after(clock.now(), ms), () => {
      signal.removeEventListener('abort', stop);
      resolve();
    });
    signal.addEventListener('abort', stop, { once: true });
  });
}
