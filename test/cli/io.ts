/** A process as a command sees it, in memory. */
import { runCli } from '../../src/cli/cli.ts';
import type { Io, Signal } from '../../src/cli/io.ts';
import type { Settings } from '../../src/config/settings.ts';

export type MemoryIo = Io & {
  /** What was written so far. */
  stdout(): string;
  stderr(): string;
  send(signal: Signal): void;
};

export function memoryIo(env: Io['env'] = {}, size?: { columns: number; rows: number }): MemoryIo {
  const [out, err]: [string[], string[]] = [[], []];
  const listeners = new Set<(signal: Signal) => void>();
  return {
    out: { write: (text) => out.push(text), isTTY: size !== undefined, ...size },
    err: { write: (text) => err.push(text) },
    env,
    onSignal: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    stdout: () => out.join(''),
    stderr: () => err.join(''),
    send: (signal) => {
      for (const listener of listeners) listener(signal);
    },
  };
}

const noNode = (): Promise<number> => Promise.reject(new Error('no node is to be run here'));

/** One command from its words to its exit code and all that it said. */
export async function synkti(
  args: readonly string[],
  options: {
    readonly env?: MemoryIo['env'];
    /** Of the terminal that it writes to; absent: to none. */
    readonly size?: { readonly columns: number; readonly rows: number };
    readonly runNode?: (settings: Settings) => Promise<number>;
  } = {},
): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  const io = memoryIo(options.env ?? { HOME: '/nonexistent' }, options.size);
  const code = await runCli(args, io, options.runNode ?? noNode);
  return { code, out: io.stdout(), err: io.stderr() };
}
