import { Failure } from '../std/failure.ts';
import { after } from '../std/time.ts';
import type { Clock } from './ports.ts';

/**
 * Runs `work` with a signal that aborts after `ms` of the node's own clock, or when `stopping` does. The deadline is
 * the signal's: work that ignores it is waited for. Not by `AbortSignal.any`, which leaves a weak reference with
 * `stopping` for each call.
 */
export async function within<T>(
  { clock, ms, stopping }: { readonly clock: Clock; readonly ms: number; readonly stopping: AbortSignal },
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const deadline = new AbortController();
  const late = (): void => deadline.abort(new Failure('late', `no answer within ${ms} ms`));
  const stop = (): void => deadline.abort(stopping.reason);
  const disarm = clock.wakeAt(after(clock.now(), ms), late);
  if (stopping.aborted) stop();
  stopping.addEventListener('abort', stop, { once: true });
  try {
    return await work(deadline.signal);
  } finally {
    disarm();
    stopping.removeEventListener('abort', stop);
  }
}
