/**
 * One instance: a `synkti run` of this very executable, leading a process group of its own, and whatever it starts.
 * All of them carry the instance's id in their environment, which is how they are found again, engines that outlived
 * their daemon included.
 *
 *   running ──crash──► down ──1 s──► running            as systemd restarts a unit
 *      │  └──exit 0, or a sixth crash──► ended           told to the owner
 *      └──SIGKILL to the instance──► off                 told to nobody: it was ordered
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { connectControl } from '../../control/client.ts';
import { usualCloud } from '../../localcloud/cloud-options.ts';
import type { Launch, Part, ProcessSignal } from '../../localcloud/instances/hosts.ts';
import { processes } from '../../os/processes.ts';
import { Failure } from '../../std/failure.ts';
import type { Respawn } from '../executable.ts';
import type { Io } from '../io.ts';
import { instanceEnvironment, instanceMark } from './environment.ts';
import { killMarked } from './kill.ts';
import { freePort } from './ports.ts';
import type { DevNode } from './state.ts';

/** As RestartSec and StartLimitBurst of a systemd unit. */
const restartAfterMs = 1_000;
const restartsMax = 5;

export type Ended = {
  readonly node: DevNode;
  /** How, in words: `exit code 1`, `SIGKILL`. */
  readonly how: string;
  readonly fate: 'left' | 'restarts' | 'given-up';
};

export type MachineOptions = {
  /** A real path. */
  readonly dir: string;
  readonly basePort: number;
  readonly env: Io['env'];
  /** How to start `synkti` with these arguments. */
  readonly program: (args: readonly string[]) => Respawn;
  /** Flags for every `synkti run`. */
  readonly flags: readonly string[];
  /** A daemon ended without being told to. */
  readonly onEnded: (ended: Ended) => void;
  /** A node was launched or lost, or its daemon has another pid. */
  readonly onChanged: () => void;
};

type Daemon = Awaited<ReturnType<typeof processes.launch>>;

export const logOf = (dir: string, node: number): string => join(dir, `node-${node}.log`);

export class Machine {
  readonly #options: MachineOptions;
  readonly #instance: Launch;
  readonly #args: readonly string[];
  readonly #node: Omit<DevNode, 'pid' | 'bootedAt'>;
  #bootedAt = 0;
  #daemon: Daemon | null = null;
  #isPowered = true;
  #restarts = 0;
  /** A partition is made inside the daemon, which cannot hear of it while it is stopped. */
  #isStopped = false;
  #isIsolated = false;

  /** Its disk is empty: a replacement finds nothing of the machine whose number it has taken. */
  static async install(options: MachineOptions, instance: Launch): Promise<Machine> {
    const node = instance.index + 1;
    const dataDir = join(options.dir, `node-${node}`);
    await rm(dataDir, { recursive: true, force: true });
    await mkdir(join(dataDir, 'tmp'), { recursive: true, mode: 0o700 });
    const { basePort } = options;
    const apiPort = basePort + instance.index;
    // A node that is gone just now will be back at its own.
    const isApiPort = (port: number): boolean => port >= basePort && port < basePort + usualCloud.group.max;
    const [p2pPort, peerPort] = [await freePort(1, isApiPort), await freePort(1, isApiPort)];
    const ports = ['--api-port', `${apiPort}`, '--p2p-port', `${p2pPort}`, '--peer-port', `${peerPort}`];
    const args = ['run', '--data-dir', dataDir, ...ports, ...options.flags];
    const api = `http://127.0.0.1:${apiPort}`;
    const { id, zone } = instance;
    const described = { node, id, zone, api, dataDir, control: join(dataDir, 'control.sock') };
    return new Machine(options, instance, args, described);
  }

  private constructor(
    options: MachineOptions,
    instance: Launch,
    args: readonly string[],
    node: Omit<DevNode, 'pid' | 'bootedAt'>,
  ) {
    this.#options = options;
    this.#instance = instance;
    this.#args = args;
    this.#node = node;
  }

  get node(): DevNode {
    return { ...this.#node, pid: this.#daemon?.pid ?? 0, bootedAt: this.#bootedAt };
  }

  /** Resolves when the daemon's process runs. */
  async boot(): Promise<void> {
    const { env, dir, program } = this.#options;
    this.#daemon = await processes.launch({
      ...program(this.#args),
      // What vLLM leaves in a temporary folder goes with its instance.
      env: { ...instanceEnvironment(env, this.#instance, dir), TMPDIR: join(this.#node.dataDir, 'tmp') },
      output: logOf(dir, this.#node.node),
    });
    this.#bootedAt = Date.now();
    // A new daemon comes up without a partition: what cut off the last one was inside it.
    this.#isIsolated = false;
    this.#isStopped = false;
    this.#options.onChanged();
    void this.#daemon.exited.then(({ code, signal }) => this.#ended(code, signal ?? `exit code ${code}`));
  }

  async signal(part: Part, name: ProcessSignal): Promise<void> {
    if (part === 'instance' && name === 'SIGKILL') return this.powerOff();
    await this.#signalPart(part, name);
    if (part === 'engine' || name === 'SIGKILL' || name === 'SIGTERM') return;
    this.#isStopped = name === 'SIGSTOP';
    if (!this.#isStopped) await this.#tellIsolation();
  }

  async isolate(on: boolean): Promise<void> {
    if (this.#isIsolated === on) return;
    this.#isIsolated = on;
    if (!this.#isStopped) await this.#tellIsolation();
  }

  async powerOff(): Promise<void> {
    this.#isPowered = false;
    await killMarked(this.#mark());
  }

  async #ended(code: number | null, how: string): Promise<void> {
    if (!this.#isPowered) return;
    const { node } = this;
    const fate = code === 0 ? 'left' : this.#restarts < restartsMax ? 'restarts' : 'given-up';
    this.#options.onEnded({ node, how, fate });
    if (fate !== 'restarts') return;
    this.#restarts++;
    await pause(restartAfterMs);
    if (!this.#isPowered) return;
    await this.boot().catch((error: Error) =>
      this.#options.onEnded({ node, how: error.message, fate: 'given-up' }),
    );
  }

  #mark() {
    return instanceMark(this.#options.dir, this.#node);
  }

  /** The engine is everything of the instance that is not the daemon: it has no parent when its daemon crashed. */
  async #signalPart(part: Part, name: ProcessSignal): Promise<void> {
    const daemon = this.#daemon;
    if (part === 'daemon') return void (daemon !== null && processes.signal(daemon, name));
    for (const target of await processes.marked(this.#mark()))
      if (part === 'instance' || target.pid !== daemon?.pid) processes.signal(target, name);
  }

  async #tellIsolation(): Promise<void> {
    try {
      await connectControl(this.#node.dataDir).isolate(this.#isIsolated);
    } catch (error) {
      // A daemon that is not there is cut off already.
      if (!(error instanceof Failure) || error.kind !== 'unreachable') throw error;
    }
  }
}
