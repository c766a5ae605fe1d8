import { after } from '../std/time.ts';
import type { Clock } from './ports.ts';

/** Ends early, without a word, when `stopping` aborts. */
export async function pause(
  { clock, stopping }: { readonly clock: Clock; readonly stopping: AbortSignal },
  ms: number,
): Promise<void> {
  if (ms <= 0 || stopping.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const end = (): void => resolve();
  const disarm = clock.wakeAt(after(clock.now(), ms), end);
  stopping.addEventListener('abort', end, { once: true });
  await promise;
  disarm();
  stopping.removeEventListener('abort', end);
}
