/**
 * One engine as its own process group on a Unix socket, the way a supervisor runs it, with the means to kill it in
 * every way there is and to see what it leaves behind.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { mappedBy } from '../real/leftovers.ts';
import { completion, type Talk } from './exchange.ts';
import { ask, call } from './talk.ts';
import { until } from './until.ts';

export type Command = {
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
};

/** A kind of engine: the simulated one or a real vLLM. */
export type Target = {
  readonly name: 'simulated' | 'vllm';
  /** The command line of an engine there; without `model` it serves its own. */
  command(options: {
    readonly address: readonly string[];
    readonly flags: readonly string[];
    readonly model?: string;
  }): Command;
  readonly readyMs: number;
};

export type Exit = { readonly code: number | null; readonly signal: string | null };
export type Member = { readonly pid: number; readonly title: string };

/** The name under which every engine of the list serves its model. */
export const servedName = 'tiny';

const resourceTracker = /multiprocessing[./]resource_tracker/;
const trackerMs = 2_000;

export class EngineProcess {
  readonly pid: number;
  readonly socketPath: string;
  readonly #dir: string;
  readonly #exited: Promise<Exit>;
  #exit: Exit | null = null;
  #log = '';
  /** Shared memory seen mapped; what ends without its leader leaves some of it behind. */
  #sharedMemory: ReadonlySet<string> = new Set();

  private constructor(dir: string, socketPath: string, command: Command) {
    this.#dir = dir;
    this.socketPath = socketPath;
    const child = spawn(command.file, [...command.args], {
      detached: true,
      cwd: dir,
      env: command.env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => (this.#log = (this.#log + chunk.toString()).slice(-65_536)));
    this.pid = child.pid ?? 0;
    this.#exited = once(child, 'exit').then(([code, signal]: (number | string | null)[]) => {
      this.#exit = { code: code as number | null, signal: signal as string | null };
      return this.#exit;
    });
  }

  /** Without waiting for it to serve. `address` replaces the Unix socket. */
  static async launch(
    target: Target,
    flags: readonly string[],
    options: {
      readonly address?: readonly string[];
      readonly model?: string;
      readonly beforehand?: (socket: string) => Promise<void>;
    } = {},
  ): Promise<EngineProcess> {
    const dir = await mkdtemp(join(tmpdir(), 'synkti-engine-'));
    const socket = join(dir, 'engine.sock');
    await options.beforehand?.(socket);
    const { address = ['--uds', socket], model } = options;
    const command = target.command({ address, flags, ...(model === undefined ? {} : { model }) });
    return new EngineProcess(dir, socket, command);
  }

  /** Serving and warm: the first request has been answered. */
  static async serving(target: Target, flags: readonly string[] = []): Promise<EngineProcess> {
    const engine = await EngineProcess.launch(target, flags);
    const healthy = await until(
      async () => engine.#exit !== null || (await engine.status('/health')) === 200,
      target.readyMs,
    );
    if (!healthy || engine.#exit !== null) {
      await engine.end();
      throw new Error(
        `${target.name} is not ready within ${target.readyMs} ms:\n${engine.log.slice(-4_096)}`,
      );
    }
    // A first prompt shorter than 64 tokens kills vLLM's worker on some CPUs.
    await engine
      .talk(4_096)
      .ask(completion({ prompt: Array.from({ length: 64 }, () => 75) })(engine.talk(4_096)));
    engine.#sharedMemory = await mappedBy((await engine.members()).map((member) => member.pid));
    return engine;
  }

  talk(context: number): Talk {
    return {
      model: servedName,
      context,
      ask: (what) => ask(this.socketPath, what),
      call: (what) => call(this.socketPath, what),
    };
  }

  get log(): string {
    return this.#log;
  }

  get hasExited(): boolean {
    return this.#exit !== null;
  }

  /** Null: still there after so long. */
  async exit(withinMs: number): Promise<Exit | null> {
    return Promise.race([this.#exited, pause(withinMs, null, { ref: false })]);
  }

  signal(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal);
  }

  /** Of a GET; null when nobody answers within two seconds. */
  async status(path: string): Promise<number | null> {
    return (await ask(this.socketPath, { method: 'GET', path }, { waitMs: 2_000 })).status;
  }

  /** The living processes of its group, the leader among them; a zombie is not living. */
  async members(): Promise<readonly Member[]> {
    const { stdout } = await promisify(execFile)('ps', ['-A', '-o', 'pid=,pgid=,stat=,args=']);
    return stdout
      .split('\n')
      .map((line) => /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(.*)$/.exec(line))
      .filter((found) => found !== null && Number(found[2]) === this.pid && !found[3]?.startsWith('Z'))
      .map((found) => ({ pid: Number(found?.[1]), title: found?.[4] ?? '' }));
  }

  async corePid(): Promise<number> {
    const core = (await this.members()).find((member) => member.title.startsWith('VLLM::EngineCore'));
    if (core === undefined) throw new Error(`no EngineCore in the group of ${this.pid}`);
    return core.pid;
  }

  async hasSocketFile(): Promise<boolean> {
    return access(this.socketPath).then(
      () => true,
      () => false,
    );
  }

  /** SIGKILL for the whole group, also after the leader is gone, and its files removed. */
  async end(): Promise<void> {
    const kill = async (spared: RegExp | null): Promise<boolean> => {
      const members = await this.members();
      for (const { pid, title } of members) if (!spared?.test(title)) signalIfThere(pid, 'SIGKILL');
      return members.length === 0;
    };
    // Python's resource tracker removes shared memory and semaphores once all others are gone, if it is let.
    if (!(await until(() => kill(resourceTracker), trackerMs))) await until(() => kill(null), 10_000);
    await this.#exited;
    for (const file of this.#sharedMemory) await rm(file, { force: true });
    await rm(this.#dir, { recursive: true, force: true });
  }
}

function signalIfThere(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
