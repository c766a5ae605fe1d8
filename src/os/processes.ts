/**
 * Starts processes that outlive this one, and ends them with everything they have started. A launched process leads a
 * session and process group of its own, so that neither a terminal's Ctrl-C nor our own end reaches it, and writes to
 * a file and not to a pipe, whose reader would be gone when we are.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { Failure, type FailureKind } from '../std/failure.ts';
import { proc, type Process, type ProcessTable } from './proc.ts';
import { ps } from './ps.ts';

type Launch = {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** What it writes to stdout and stderr is added to this file. */
  readonly output: string;
};

type Exit = { readonly code: number | null; readonly signal: string | null };
type Launched = Process & {
  readonly exited: Promise<Exit>;
  /** From here on this process may end while that one lives. */
  release(): void;
};

type Processes = ProcessTable & {
  /** Resolves when the program runs. Failure `missing`: no such program; `denied`; `busy`: no room for a process. */
  launch(order: Launch): Promise<Launched>;
  /** To this process alone; false when it is gone. */
  signal(target: Process, signal: NodeJS.Signals): boolean;
};

const table: ProcessTable = process.platform === 'linux' ? proc : ps;

export const processes: Processes = {
  ...table,

  async launch({ command, args, env, output }) {
    const descriptor = openSync(output, 'a', 0o600);
    let child: ChildProcess;
    try {
      child = spawn(command, args, { env, detached: true, stdio: ['ignore', descriptor, descriptor] });
    } catch (error) {
      throw launchFailure(command, error as NodeJS.ErrnoException);
    } finally {
      closeSync(descriptor);
    }
    const exited = new Promise<Exit>((resolve) =>
      child.once('exit', (code, signal) => resolve({ code, signal })),
    );
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (error) => reject(launchFailure(command, error)));
    });
    const { pid } = child;
    // A program that ends at once may have been reaped by now; its pid cannot have been given away yet.
    return { pid: pid!, start: table.startOf(pid!) ?? '', exited, release: () => child.unref() };
  },

  signal({ pid, start }, signal) {
    if (table.startOf(pid) !== start) return false;
    try {
      return process.kill(pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
      throw error;
    }
  },
};

function launchFailure(command: string, error: NodeJS.ErrnoException): Failure {
  const kinds: Readonly<Record<string, FailureKind>> = { ENOENT: 'missing', EAGAIN: 'busy', ENOMEM: 'busy' };
  const kind = kinds[error.code ?? ''] ?? 'denied';
  return new Failure(kind, `start ${command}: ${kind}: ${error.code ?? error.message}`, error);
}
