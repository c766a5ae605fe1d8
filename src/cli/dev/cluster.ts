/**
 * A whole cluster on this machine: the local cloud in this process, nodes as its instances, and what they report.
 *
 *   starting ──every node ready and knows the others──► running ──close──► nothing left
 *       └────────a node ends, or it takes too long─────► nothing left, Failure
 */
import { setTimeout as pause } from 'node:timers/promises';
import { connectControl } from '../../control/client.ts';
import { startLocalCloud, type LocalCloud } from '../../localcloud/cloud.ts';
import { usualCloud } from '../../localcloud/cloud-options.ts';
import type { Fact } from '../../node/facts.ts';
import { systemClock } from '../../os/clock.ts';
import { Failure } from '../../std/failure.ts';
import { parseObject } from '../../std/json.ts';
import { span } from '../columns.ts';
import type { Respawn } from '../executable.ts';
import type { Io } from '../io.ts';
import { openHosts, type DevHosts } from './hosts.ts';
import { logOf, type Ended } from './machine.ts';
import { tailOf, type LogTail } from './log-tail.ts';
import { takePlace } from './place.ts';
import { needPorts } from './ports.ts';
import type { DevNode } from './state.ts';

export type DevOptions = {
  readonly dir: string;
  readonly nodes: number;
  readonly basePort: number;
  /** Flags for every `synkti run`. */
  readonly flags: readonly string[];
  readonly env: Io['env'];
  /** How to start `synkti` with these arguments. */
  readonly program: (args: readonly string[]) => Respawn;
  /** For the first engines to become ready, ms. */
  readonly readyMs: number;
  /** From the loss of an instance until Auto Scaling launches another, ms. */
  readonly replaceAfterMs: number;
  /** With the nodes that there are just then. */
  readonly onEvent: (event: DevEvent, nodes: readonly DevNode[]) => void;
};

/** A line of a node's log, or what the local cloud did. `node` is null for what is about no node. */
export type DevEvent = { readonly node: number | null; readonly said: Fact | string };

export type DevCluster = {
  readonly readyMs: number;
  nodes(): readonly DevNode[];
  /** Kills every process and removes every file. */
  close(): Promise<void>;
};

/** How often the logs are read and, at the start, the nodes are asked, ms. */
const lookMs = 100;

/** Failure: what keeps it from starting, in one line. Nothing is left behind then. */
export async function startDevCluster(given: DevOptions, signal: AbortSignal): Promise<DevCluster> {
  const startedAt = performance.now();
  await using started = new AsyncDisposableStack();
  const doomed = new AbortController();
  let isReady = false;
  const place = await takePlace(given.dir, usualCloud.group.max, (failure) => {
    if (isReady) given.onEvent({ node: null, said: failure.message }, hosts.nodes());
    else doomed.abort(failure);
  });
  const options = { ...given, dir: place.dir };
  started.defer(place.release);
  // Then what has the ports is no cluster of this directory, neither one that runs nor one that crashed.
  await needPorts(given.basePort, given.nodes);

  let cloud: LocalCloud | null = null;
  const hosts = openHosts({
    ...options,
    onEnded: (ended) => {
      const { node, how, fate } = ended;
      if (!isReady) doomed.abort(new Failure('unreachable', `node ${node.node} did not start: ${how}`));
      if (!isReady) return;
      options.onEvent({ node: node.node, said: describe(ended) }, hosts.nodes());
      if (fate !== 'restarts') cloud?.exited(node.id);
    },
    onChanged: () => place.publish(cloud?.controlSocket ?? '', hosts.nodes()),
  });
  started.defer(hosts.close);
  cloud = await openCloud(options, place.cloudDir, hosts, signal);
  started.defer(cloud.close);
  const follower = follow(options, hosts);
  started.defer(follower.close);

  const late = AbortSignal.any([signal, doomed.signal, AbortSignal.timeout(options.readyMs)]);
  await whenReady(options, hosts, late).catch(async (error: unknown) => {
    await follower.look();
    throw error;
  });
  isReady = true;
  const running = started.move();
  return {
    readyMs: Math.round(performance.now() - startedAt),
    nodes: hosts.nodes,
    close: () => running.disposeAsync(),
  };
}

function openCloud(
  options: DevOptions,
  dir: string,
  hosts: DevHosts,
  signal: AbortSignal,
): Promise<LocalCloud> {
  return startLocalCloud(
    {
      ...usualCloud,
      dir,
      hosts,
      clock: systemClock,
      seed: process.pid,
      desired: options.nodes,
      group: { ...usualCloud.group, replaceAfterMs: options.replaceAfterMs },
      template: { ...usualCloud.template, tags: { SynktiCluster: 'dev', SynktiRole: 'worker' } },
      // A daemon that left in good order has no more use for its machine.
      terminateOnExit: true,
      report: (fact) => options.onEvent({ node: numberOf(hosts, fact), said: fact }, hosts.nodes()),
    },
    signal,
  );
}

function numberOf(hosts: DevHosts, fact: Fact): number | null {
  return hosts.nodes().find(({ id }) => id === fact['instance'])?.node ?? null;
}

function describe({ how, fate }: Ended): string {
  const next = { left: 'it left', restarts: 'it is started again', 'given-up': 'it is given up' } as const;
  return `the daemon ended (${how}): ${next[fate]}`;
}

/** Ready means useful: every node takes requests and sees every other one serve. */
async function whenReady(options: DevOptions, hosts: DevHosts, signal: AbortSignal): Promise<void> {
  const waiting = new Set(Array.from({ length: options.nodes }, (_, at) => at + 1));
  for (;;) {
    const nodes = hosts.nodes().filter(({ node }) => waiting.has(node));
    const useful = await Promise.all(nodes.map((node) => isUseful(node, options.nodes)));
    for (const [at, { node }] of nodes.entries()) if (useful[at] === true) waiting.delete(node);
    if (waiting.size === 0) return;
    if (signal.reason instanceof Failure) throw signal.reason;
    if (signal.aborted)
      throw new Failure('late', `not ready after ${span(options.readyMs)}: node ${[...waiting].join(', ')}`);
    await pause(lookMs);
  }
}

async function isUseful({ api, dataDir }: DevNode, count: number): Promise<boolean> {
  try {
    const ready = await fetch(`${api}/readyz`, { signal: AbortSignal.timeout(2_000) });
    await ready.body?.cancel();
    if (!ready.ok) return false;
    const members = await connectControl(dataDir).members();
    return members.filter(({ health, phase }) => health === 'alive' && phase === 'serving').length >= count;
  } catch (error) {
    // It is still coming up: nothing listens yet, or it is busy.
    if (error instanceof Failure || error instanceof TypeError || error instanceof DOMException) return false;
    throw error;
  }
}

/** Turns every new line of every node's log into an event. */
function follow(options: DevOptions, hosts: DevHosts): { look(): Promise<void>; close(): void } {
  const tails = new Map<number, LogTail>();
  let timer: NodeJS.Timeout | null = null;
  let closed = false;
  let turn = Promise.resolve();

  /** One look at a time: two would read the same lines. */
  const look = (): Promise<void> => (turn = turn.then(readAll));
  async function readAll(): Promise<void> {
    for (const { node } of hosts.nodes()) {
      const tail = tails.get(node) ?? tailOf(logOf(options.dir, node));
      tails.set(node, tail);
      for (const line of await tail.read()) options.onEvent({ node, said: factOf(line) }, hosts.nodes());
    }
  }
  function again(): void {
    if (closed) return;
    timer = setTimeout(() => void look().finally(again), lookMs);
  }
  again();
  return {
    look,
    close: () => {
      closed = true;
      if (timer !== null) clearTimeout(timer);
    },
  };
}

/** What is no fact is shown as it is: a stack trace, or an engine's last words. */
const factOf = (line: string): Fact | string => (parseObject(line) as Fact | null) ?? line;
