/** A process as a command sees it, in memory. */
import type { Io, Signal } from '../../src/cli/io.ts';

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
