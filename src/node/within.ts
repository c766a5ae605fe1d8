import { Failure } from '../std/failure.ts';
import { after } from '../std/time.ts';
import type { Clock } from './ports.ts';

/**
 * Runs `work` with a signal that aborts after `ms` of the node's own clock, or when `stopping` does. The deadline is
 * the signal's: work that ignores it is waited for.
 */
export async function within<T>(
  { clock, ms, stopping }: { readonly clock: Clock; readonly ms: number; readonly stopping: AbortSignal },
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const deadline = new AbortController();
  const late = (): void => deadline.abort(new Failure('late', `no answer within ${ms} ms`));
  const disarm = clock.wakeAt(after(clock.now(), ms), late);
  try {
    return await work(AbortSignal.any([deadline.signal, stopping]));
  } finally {
    disarm();
  }
}
