/**
 * The only file that knows the process: its arguments, environment, signals, streams and exit code. Everything else
 * is handed what it needs.
 */
import { isSea } from 'node:sea';
import { runCli } from './cli/cli.ts';
import { exit, say, type Io, type Signal } from './cli/io.ts';
import { startFrugally } from './os/frugal.ts';

const signals: readonly Signal[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];
const listeners = new Set<(signal: Signal) => void>();

const io: Io = {
  out: process.stdout,
  err: process.stderr,
  env: process.env,
  onSignal: (listener) => {
    listeners.add(listener);
    for (const signal of signals) process.on(signal, listener);
    return () => {
      listeners.delete(listener);
      for (const signal of signals) process.off(signal, listener);
    };
  },
};

/** The reader of a pipe (`synkti members | head -1`) and the terminal. */
const gone: readonly (string | undefined)[] = ['EPIPE', 'EIO'];

/**
 * What goes on until it is told to end ends when it can tell nothing any more. A node alone lives on without its log:
 * its disk may be full, or whoever kept it gone.
 */
function watchOutput(): { codeOf(own: number): number } {
  let failed = false;
  let over = false;
  for (const stream of [process.stdout, process.stderr])
    stream.on('error', ({ code }: NodeJS.ErrnoException) => {
      if (over || process.argv[2] === 'run') return;
      over = true;
      failed = !gone.includes(code);
      if (failed) say(io, `output: not written (${code})`);
      for (const listener of listeners) listener('SIGHUP');
    });
  return { codeOf: (own) => (failed && own === exit.done ? exit.refused : own) };
}

async function main(): Promise<void> {
  if (isSea() && process.platform === 'linux' && process.argv[2] === 'run') startFrugally(process);
  // Of a node it asks for something, and that is no end to it, not even while it starts and cannot be asked yet.
  if (process.argv[2] === 'run') process.on('SIGHUP', () => {});
  const output = watchOutput();
  const code = await runCli(process.argv.slice(2), io, async (settings, io) => {
    const { runNode } = await import('./daemon.ts');
    return runNode(settings, io);
  });
  // Ends although a socket may linger, but not before the last line is out, or is known not to be.
  const end = () => setImmediate(() => process.exit(output.codeOf(code)));
  process.stdout.write('', () => process.stderr.write('', end));
}

void main();
