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

type Operate = ReturnType<typeof connectControl>;

const main = join(import.meta.dirname, '../../src/main.ts');

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
  /** Ends the wait for it, and what has started so far. */
  readonly signal?: AbortSignal;
}): Promise<DevCluster> {
  const dir = await mkdtemp(join(tmpdir(), 'synkti-cluster-'));
  const basePort = await freePort(options.nodes);
  const args = ['dev', '--json', '--nodes', `${options.nodes}`, '--base-port', `${basePort}`, '--dir', dir];
  const child = spawn(process.execPath, [main, ...args, ...(options.args ?? [])], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
  });
  const gone = once(child, 'exit');
  let talk = '';
  child.stderr.on('data', (chunk: Buffer) => (talk = (talk + chunk.toString()).slice(-8_192)));

  async function stop(): Promise<void> {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGINT');
      const kill = setTimeout(() => child.kill('SIGKILL'), 20_000);
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
      const event = JSON.parse(line) as { ready?: { nodes: DevNode[]; readyMs: number } };
      if (event.ready === undefined) return;
      clearTimeout(late);
      resolve(event.ready);
    });
  });
  try {
    const { nodes, readyMs } = await ready;
    const cloud = connectControl((await needDevState(dir)).cloud);
    const synkti = async (...words: readonly string[]): Promise<string> =>
      (await promisify(execFile)(process.execPath, [main, ...words, '--dir', dir])).stdout;
    return { dir, nodes, readyMs, cloud, synkti, stop };
  } catch (failure) {
    await stop();
    throw failure;
  }
}
