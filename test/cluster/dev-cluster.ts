/**
 * A real `synkti dev` cluster for demos, end-to-end runs and benchmarks: started as a person starts it, watched through
 * what it prints, broken through `synkti chaos`.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { freePort } from '../../src/cli/dev/ports.ts';
import { needDevState } from '../../src/cli/dev/state.ts';
import { connectControl } from '../../src/localcloud/control-client.ts';
import type { Program } from '../lab/program.ts';

type Operate = ReturnType<typeof connectControl>;

const main = join(import.meta.dirname, '../../src/main.ts');
const sources: Program = (args) => ({ command: process.execPath, args: [main, ...args] });

/** What a node's log or the cloud said: a fact and its fields, or a line that is none as `said`. */
export type DevFact = { readonly node: number | null; readonly fact?: string } & Readonly<
  Record<string, unknown>
>;

export type DevNode = {
  readonly node: number;
  readonly id: string;
  readonly api: string;
  readonly control: string;
  readonly pid: number;
};

export type DevCluster = {
  readonly dir: string;
  readonly nodes: readonly DevNode[];
  readonly readyMs: number;
  /** What `synkti chaos` asks the local cloud for, without the second that starting a command takes. */
  readonly cloud: Operate;
  /** `synkti …` against this cluster; resolves with what it printed, rejects with its complaint. */
  synkti(...args: readonly string[]): Promise<string>;
  /** Ends it as Ctrl-C does and waits until it is gone. */
  stop(): Promise<void>;
};

/** Rejects with the end of what the cluster said when it is not ready in time. */
export async function startDevCluster(options: {
  readonly nodes: number;
  readonly readyMs: number;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** The sources, where none is named. */
  readonly program?: Program;
  /** Within some 100 ms of its being said. */
  readonly onFact?: (fact: DevFact) => void;
  /** Ends the wait for it, and what has started so far. */
  readonly signal?: AbortSignal;
}): Promise<DevCluster> {
  const dir = await mkdtemp(join(tmpdir(), 'synkti-cluster-'));
  // A replacement may come up before the number of the lost node is free again.
  const basePort = await freePort(2 * options.nodes);
  const args = ['dev', '--json', '--nodes', `${options.nodes}`, '--base-port', `${basePort}`, '--dir', dir];
  const program = options.program ?? sources;
  const started = program([...args, ...(options.args ?? [])]);
  const child = spawn(started.command, started.args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
  });
  const gone = once(child, 'exit');
  let talk = '';
  child.stderr.on('data', (chunk: Buffer) => (talk = (talk + chunk.toString()).slice(-8_192)));

  async function stop(): Promise<void> {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGINT');
      // It would leave all that it started.
      const kill = setTimeout(() => child.kill('SIGKILL'), 90_000);
      await gone;
      clearTimeout(kill);
    }
    await rm(dir, { recursive: true, force: true });
  }

  const ready = new Promise<{ nodes: DevNode[]; readyMs: number }>((resolve, reject) => {
    const late = setTimeout(
      () => reject(new Error(`no cluster within ${options.readyMs} ms:\n${talk}`)),
      options.readyMs,
    );
    options.signal?.addEventListener('abort', () => {
      clearTimeout(late);
      reject(options.signal?.reason as Error);
    });
    child.once('exit', (code) => {
      clearTimeout(late);
      reject(new Error(`synkti dev ended with ${code}:\n${talk}`));
    });
    createInterface({ input: child.stdout }).on('line', (line) => {
      const { ready, event } = JSON.parse(line) as {
        ready?: { nodes: DevNode[]; readyMs: number };
        event?: DevFact;
      };
      if (event !== undefined) options.onFact?.(event);
      if (ready === undefined) return;
      clearTimeout(late);
      resolve(ready);
    });
  });
  try {
    const { nodes, readyMs } = await ready;
    const cloud = connectControl((await needDevState(dir)).cloud);
    const synkti = async (...words: readonly string[]): Promise<string> => {
      const { command, args } = program([...words, '--dir', dir]);
      return (await promisify(execFile)(command, args)).stdout;
    };
    return { dir, nodes, readyMs, cloud, synkti, stop };
  } catch (failure) {
    await stop();
    throw failure;
  }
}
