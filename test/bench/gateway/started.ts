/** A program that the bench starts and ends, and waits for until it answers. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import type { Respawn } from '../../../src/cli/executable.ts';

/** A busy machine takes its time to start seven processes. */
const readyMs = 120_000;
const endMs = 5_000;
const lookMs = 100;
/** Of its last words, characters. */
const talkMax = 4_096;

export type Started = { readonly pid: number; stop(): Promise<void> };

/** Resolves once `url` is answered with 200. Rejects with what the program said when it is not. */
export async function start(name: string, { command, args }: Respawn, url: string): Promise<Started> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const gone = once(child, 'exit');
  let talk = '';
  for (const output of [child.stdout, child.stderr])
    output.on('data', (chunk: Buffer) => (talk = (talk + chunk.toString()).slice(-talkMax)));

  async function stop(): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    const kill = setTimeout(() => child.kill('SIGKILL'), endMs);
    await gone;
    clearTimeout(kill);
  }

  for (const until = performance.now() + readyMs; performance.now() < until; await pause(lookMs)) {
    if (child.exitCode !== null) break;
    if (await answers(url)) return { pid: child.pid!, stop };
  }
  await stop();
  throw new Error(`${name} does not start:\n${talk}`);
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
    await response.body?.cancel();
    return response.ok;
  } catch (error) {
    // Nothing listens yet, or it is busy.
    if (error instanceof TypeError || error instanceof DOMException) return false;
    throw error;
  }
}
