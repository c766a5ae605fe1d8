/**
 * One node: its place in the cluster, its engine and its way of leaving, wired to each other. Whatever decides is a
 * pure machine below; whatever acts is a port. The gateway asks through `serving`, an operator through `operations`.
 *
 * Start: engine and notices at once, tags before anything is dialled (peers admit by tag), then the cluster. Stop runs
 * through the drain, whatever caused it.
 */
import type { DrainReason } from '../drain/drain.ts';
import type { NodeRecord } from '../registry/record.ts';
import type { MemberId } from '../std/member-id.ts';
import type { Rng } from '../std/random.ts';
import { openCluster, type Cluster } from './cluster.ts';
import type { Report } from './facts.ts';
import { openLeaving, type Leaving } from './leaving.ts';
import { listeners } from './listeners.ts';
import { openEngine, type LocalEngine } from './local-engine.ts';
import type { Clock, Cloud, EngineHost, Network, NetworkEvents, ReadNotice } from './ports.ts';
import { openServing, type Counts } from './serve.ts';
import type { MoveReason, Serving } from './serving.ts';
import { tagSelf, untagSelf } from './tags.ts';

type NodeOptions = {
  readonly cluster: string;
  /** The first record: who this is and where it can be reached. */
  readonly record: NodeRecord;
  /** host:port of the libp2p listener, when peers cannot derive it from the private IP and the default port. */
  readonly address: string | null;
  readonly discoveryMs: number;
  readonly engine: { readonly expectedModels: readonly string[]; readonly readyMs: number } | null;
};

type NodePorts = {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly cloud: Cloud;
  readonly readNotice: ReadNotice | null;
  readonly openNetwork: (events: NetworkEvents) => Promise<Network>;
  readonly engineHost: EngineHost | null;
  readonly report: Report;
};

export type Node = {
  readonly serving: Serving;
  readonly events: NetworkEvents;
  readonly cluster: Cluster;
  readonly engine: LocalEngine | null;
  readonly leaving: Leaving;
  readonly counts: Counts;
  drain(reason: DrainReason, withinMs: number): void;
  /** Resolves when the network listens; the rest of joining goes on by itself. */
  start(): Promise<void>;
  /** Lets go of everything, in reverse order. The engine is left as the drain left it. */
  close(): Promise<void>;
};

export function createNode(options: NodeOptions, ports: NodePorts): Node {
  const { clock, cloud } = ports;
  const { record } = options;
  const counts: Counts = { entered: 0, moved: 0 };
  const report: Report = (fact) => {
    if (fact.fact === 'stream.moved') counts.moved++;
    ports.report(fact);
  };
  const stopping = new AbortController();
  const moves = listeners<[MemberId, MoveReason]>();
  let network: Network | null = null;

  const engine =
    ports.engineHost === null || options.engine === null
      ? null
      : openEngine({ ...options.engine, host: ports.engineHost, rng: ports.rng, clock, report });
  const cluster = openCluster({
    own: record,
    discoveryMs: options.discoveryMs,
    rng: ports.rng,
    clock,
    cloud,
    localLoad: () => engine?.load() ?? null,
    report,
  });
  const leaving = openLeaving({
    clock,
    readNotice: ports.readNotice,
    load: () => ({ generations: engine?.generations() ?? 0, relays: counts.entered }),
    stopEngine: async (withinMs) => engine?.stop(withinMs),
    sayGoodbye: async (withinMs) => {
      cluster.revise({ life: { phase: 'left' } });
      await untagSelf({ clock, cloud, report, ms: withinMs, stopping: stopping.signal });
    },
    report,
  });

  const serving = openServing({ self: record.id, clock, cluster, engine, leaving, counts, moves, report });

  engine?.changed.add(() => {
    const { phase, models } = engine.status();
    const serves = phase === 'ready' && cluster.own().life.phase === 'joining';
    cluster.revise({
      engine: { phase, models: [...models] },
      ...(serves ? { life: { phase: 'serving' } } : {}),
    });
    if (serves) report({ fact: 'node.serving', afterMs: Math.round(clock.now()) });
  });
  engine?.counted.add(leaving.loadChanged);
  leaving.announced.add((reason, deadline) => {
    cluster.revise({ life: { phase: 'draining', reason, deadline } });
    moves.tell(record.id, 'drain');
  });
  cluster.changed.add((id) => {
    const member = cluster.members().find((known) => known.id === id);
    const phase = member?.record?.life.phase;
    if (phase === 'draining' || phase === 'left') moves.tell(id, 'drain');
    else if (member === undefined || member.health === 'dead') moves.tell(id, 'dead');
    else if (member.health === 'suspect') moves.tell(id, 'suspect');
  });

  cluster.muted.add((id) => moves.tell(id, 'silence'));

  async function join(joined: Network): Promise<void> {
    const tags = { clock, cloud, report, stopping: stopping.signal };
    await tagSelf(tags, { cluster: options.cluster, record, address: options.address });
    if (!stopping.signal.aborted) cluster.join(joined);
    await cluster.looked;
    if (engine === null) cluster.revise({ life: { phase: 'serving' } });
  }

  return {
    serving,
    events: cluster.events,
    cluster,
    engine,
    leaving,
    counts,
    drain: leaving.begin,
    start: async () => {
      network = await ports.openNetwork(cluster.events);
      engine?.start();
      leaving.watch();
      void join(network).catch((error: unknown) => report({ fact: 'node.stumbled', why: String(error) }));
    },
    close: async () => {
      stopping.abort();
      leaving.stop();
      cluster.stop();
      await engine?.close();
      await network?.close();
    },
  };
}
