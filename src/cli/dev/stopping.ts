/** When a development cluster has to stop, and when it has to stop at once. */
import { readFileSync } from 'node:fs';
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
  const origin = ancestors();
  const watch = setInterval(() => {
    if (ancestors() !== origin) stop.abort();
  }, lookMs);
  if (io.env['npm_lifecycle_event'] === undefined) clearInterval(watch);
  return {
    signal: stop.signal,
    forced: forced.promise,
    close: () => {
      clearInterval(watch);
      close();
    },
  };
}

/** npm is our parent, or the parent of the shell that it starts us with. */
const ancestors = (): string => `${process.ppid} ${parentOf(process.ppid)}`;

/** null: gone, or no /proc to ask. */
function parentOf(pid: number): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
