/**
 * The only file that knows the process: its arguments, environment, signals, streams and exit code. Everything else
 * is handed what it needs.
 */
import { isSea } from 'node:sea';
import { runCli } from './cli/cli.ts';
import type { Io, Signal } from './cli/io.ts';
import { startFrugally } from './os/frugal.ts';

const signals: readonly Signal[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];

const io: Io = {
  out: process.stdout,
  err: process.stderr,
  env: process.env,
  onSignal: (listener) => {
    for (const signal of signals) process.on(signal, listener);
    return () => {
      for (const signal of signals) process.off(signal, listener);
    };
  },
};

async function main(): Promise<void> {
  if (isSea() && process.platform === 'linux' && process.argv[2] === 'run') startFrugally(process);
  // Whoever read our output has gone (`synkti members | head -1`): there is nobody left to tell. And a node lives on
  // without its log when the disk is full, where any other command has failed.
  for (const stream of [process.stdout, process.stderr])
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE' && process.argv[2] !== 'run') throw error;
    });
  const code = await runCli(process.argv.slice(2), io, async (settings, io) => {
    const { runNode } = await import('./daemon.ts');
    return runNode(settings, io);
  });
  // Ends although a socket may linger, but not before the last line is out.
  process.stdout.write('', () => process.stderr.write('', () => process.exit(code)));
}

void main();
