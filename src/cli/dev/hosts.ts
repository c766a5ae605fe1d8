/**
 * Runs the machines of the local cloud as processes of this one: an instance is a `synkti run` of this very
 * executable, leading a process group of its own, and whatever it starts. All of them carry the instance's id in
 * their environment, which is how they are found again, engines that outlived their daemon included.
 *
 * A daemon that crashes is started again, as systemd would; one that ends by itself in good order ends its instance.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { connectControl } from '../../control/client.ts';
import type { Hosts, Launch, Part, ProcessSignal } from '../../localcloud/instances/hosts.ts';
import type { Mark } from '../../os/proc.ts';
import { processes } from '../../os/processes.ts';
import { Failure } from '../../std/failure.ts';
import type { Respawn } from '../executable.ts';
import type { Io } from '../io.ts';
import { clusterMark, instanceEnvironment, instanceMark } from './environment.ts';
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

export type HostOptions = {
  readonly dir: string;
  readonly basePort: number;
  readonly env: Io['env'];
  /** How to start `synkti` with these arguments. */
  readonly program: (args: readonly string[]) => Respawn;
  /** Flags for every `synkti run`. */
  readonly flags: readonly string[];
  /** A daemon ended without being told to. */
  readonly onEnded: (ended: Ended) => void;
  /** A node was launched or lost. */
  readonly onChanged: () => void;
};

export type DevHosts = Hosts & {
  nodes(): readonly DevNode[];
  /** Kills everything and launches nothing any more. Resolves when no process is left. */
  close(): Promise<void>;
};

type Launched = Awaited<ReturnType<typeof processes.launch>>;

type Host = {
  readonly launch: Launch;
  readonly args: readonly string[];
  readonly mark: Mark;
  node: DevNode;
  daemon: Launched;
  powered: boolean;
  restarts: number;
  /** Partitions are told to the daemon, which cannot hear while it is stopped. */
  stopped: boolean;
  isolated: boolean;
};

export const logOf = (dir: string, node: number): string => join(dir, `node-${node}.log`);

export function openHosts(options: HostOptions): DevHosts {
  const { dir } = options;
  const hosts = new Map<string, Host>();
  let closed = false;

  async function launch(instance: Launch, signal: AbortSignal): Promise<void> {
    const number = instance.index + 1;
    const dataDir = join(dir, `node-${number}`);
    // A replacement is another machine: it finds nothing of the one whose place it takes.
    await rm(dataDir, { recursive: true, force: true });
    await mkdir(join(dataDir, 'tmp'), { recursive: true, mode: 0o700 });
    const apiPort = options.basePort + instance.index;
    const flags = [
      '--api-port',
      `${apiPort}`,
      '--p2p-port',
      `${await freePort()}`,
      '--peer-port',
      `${await freePort()}`,
    ];
    const args = ['run', '--data-dir', dataDir, ...flags, ...options.flags];
    if (closed) throw new Failure('denied', `launch ${instance.id}: the cluster is stopping`);
    signal.throwIfAborted();
    const daemon = await startDaemon(instance, args);
    const node: DevNode = {
      node: number,
      id: instance.id,
      zone: instance.zone,
      api: `http://127.0.0.1:${apiPort}`,
      dataDir,
      control: join(dataDir, 'control.sock'),
      pid: daemon.pid,
    };
    const host: Host = {
      launch: instance,
      args,
      mark: instanceMark(dir, node),
      node,
      daemon,
      powered: true,
      restarts: 0,
      stopped: false,
      isolated: false,
    };
    hosts.set(instance.id, host);
    void watch(host, daemon.exited);
    options.onChanged();
  }

  function startDaemon(instance: Launch, args: readonly string[]): Promise<Launched> {
    const number = instance.index + 1;
    const env = instanceEnvironment(options.env, instance, dir);
    return processes.launch({
      ...options.program(args),
      // What vLLM leaves in a temporary folder goes with its instance.
      env: { ...env, TMPDIR: join(dir, `node-${number}`, 'tmp') },
      output: logOf(dir, number),
    });
  }

  /** Until the daemon is gone for good: by the cloud's order, in good order, or after too many crashes. */
  async function watch(host: Host, exited: Launched['exited']): Promise<void> {
    const { code, signal } = await exited;
    const how = signal ?? `exit code ${code}`;
    const isOurs = (): boolean => host.powered && !closed;
    if (!isOurs()) return;
    const fate = code === 0 ? 'left' : host.restarts < restartsMax ? 'restarts' : 'given-up';
    options.onEnded({ node: host.node, how, fate });
    if (fate !== 'restarts') return;
    host.restarts++;
    await pause(restartAfterMs);
    if (!isOurs()) return;
    try {
      host.daemon = await startDaemon(host.launch, host.args);
    } catch (error) {
      options.onEnded({ node: host.node, how: (error as Error).message, fate: 'given-up' });
      return;
    }
    // The new daemon comes up without a partition: what cut off the old one was inside it.
    Object.assign(host, { node: { ...host.node, pid: host.daemon.pid }, isolated: false, stopped: false });
    options.onChanged();
    await watch(host, host.daemon.exited);
  }

  async function signal(id: string, part: Part, name: ProcessSignal): Promise<void> {
    const host = hosts.get(id);
    if (host === undefined) return;
    if (part === 'instance' && name === 'SIGKILL') {
      host.powered = false;
      await killMarked(host.mark);
      hosts.delete(id);
      options.onChanged();
      return;
    }
    if (name === 'SIGKILL' || name === 'SIGTERM' || part === 'engine') await signalPart(host, part, name);
    else await stopOrContinue(host, part, name);
  }

  async function stopOrContinue(host: Host, part: Part, name: ProcessSignal): Promise<void> {
    await signalPart(host, part, name);
    host.stopped = name === 'SIGSTOP';
    if (!host.stopped) await tell(host);
  }

  async function isolate(id: string, on: boolean): Promise<void> {
    const host = hosts.get(id);
    if (host === undefined || host.isolated === on) return;
    host.isolated = on;
    if (!host.stopped) await tell(host);
  }

  return {
    launch,
    signal,
    isolate,
    nodes: () => [...hosts.values()].map(({ node }) => node).sort((a, b) => a.node - b.node),
    close: async () => {
      closed = true;
      await killMarked(clusterMark(dir));
    },
  };
}

/** The engine is everything of the instance that is not the daemon: it has no parent when its daemon crashed. */
async function signalPart({ mark, daemon }: Host, part: Part, name: ProcessSignal): Promise<void> {
  if (part === 'daemon') return void processes.signal(daemon, name);
  for (const target of await processes.marked(mark))
    if (part === 'instance' || target.pid !== daemon.pid) processes.signal(target, name);
}

async function tell({ node, isolated }: Host): Promise<void> {
  try {
    await connectControl(node.dataDir).isolate(isolated);
  } catch (error) {
    // A daemon that is not there is cut off already, and a new one starts without a partition.
    if (!(error instanceof Failure) || error.kind !== 'unreachable') throw error;
  }
}
