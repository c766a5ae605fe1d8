/** When a development cluster has to stop, and when it has to stop at once. */
import type { Io } from '../io.ts';

/** How often to look whether npm is still there, ms. */
const lookMs = 500;

export type Stopping = {
  /** Aborted by the first Ctrl-C, SIGTERM or SIGHUP, and when npm, which started us, is gone. */
  readonly signal: AbortSignal;
  /** Resolves with the second one. */
  readonly forced: Promise<void>;
  close(): void;
};

/**
 * npm passes signals on, but not when it is killed itself. Other parents are not watched: a shell that started us in
 * the background may well end before us.
 */
export function stopping(io: Io): Stopping {
  const stop = new AbortController();
  const forced = Promise.withResolvers<void>();
  const close = io.onSignal(() => (stop.signal.aborted ? forced.resolve() : stop.abort()));
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (io.env['npm_lifecycle_event'] !== undefined && process.ppid !== parent) stop.abort();
  }, lookMs);
  return {
    signal: stop.signal,
    forced: forced.promise,
    close: () => {
      clearInterval(watch);
      close();
    },
  };
}
