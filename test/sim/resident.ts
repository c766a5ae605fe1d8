/** One node in the simulated cluster: its machine, its process, and what the run remembers of it. */
import { Cluster } from '../../src/node/cluster.ts';
import type { ClusterPort } from '../../src/node/cluster-port.ts';
import type { Fact } from '../../src/node/facts.ts';
import type { Codec } from '../../src/node/message.ts';
import type {
  Clock,
  Cloud,
  LeaseStore,
  Memory,
  Network,
  NetworkEvents,
  Probe,
  Remembered,
} from '../../src/node/ports.ts';
import type { Holding } from '../../src/node/holding.ts';
import { tagSelf, untagSelf } from '../../src/node/tags.ts';
import type { EngineStatus, NodeRecord } from '../../src/registry/record.ts';
import type { ViewHash } from '../../src/registry/view-hash.ts';
import { memberId } from '../../src/std/member-id.ts';
import type { Rng } from '../../src/std/random.ts';
import { volunteer } from './duty.ts';
import type { SimProcess } from './process.ts';
import { Marks, type Roll } from './roll.ts';
import { sealOf } from './seal.ts';
import type { SimEngine } from './serving/engine.ts';
import type { Host } from './terrain.ts';

/** What the simulator needs of a node, whatever is inside. */
export type Inhabitant = {
  readonly cluster: ClusterPort;
  /** Nodes that know the same agree on it. */
  viewHash(): ViewHash;
  start(): Promise<void>;
  /** Says goodbye, and resolves when the process may end. */
  leave(withinMs: number): Promise<void>;
  /** EC2 announces the instance's end; false: nobody here would read it. */
  notice(inMs: number): boolean;
  /** Says something else of its engine. */
  revise(engine: EngineStatus): void;
  /** By its own word. */
  readonly holdsDuty: boolean;
  /** null: there is none just now. */
  readonly engine: SimEngine | null;
  /** Clients that it tells answers to, and logs of streams that it holds for other nodes. */
  readonly burden: { readonly clients: number; readonly logs: number };
};

export type ResidentPorts = {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly cloud: Cloud;
  readonly openNetwork: (events: NetworkEvents) => Promise<Network>;
  readonly probe: Probe;
  readonly store: LeaseStore;
  readonly memory: Memory;
  /** By the life before it on this machine. */
  readonly remembered: Remembered | null;
  /** Of this process and no other. */
  readonly run: string;
  readonly report: (fact: Fact) => void;
  readonly host: Host;
  readonly process: SimProcess;
  /** The process ends by itself. */
  readonly exit: () => void;
};

export class Resident {
  readonly host: Host;
  readonly process: SimProcess;
  readonly id: string;
  readonly peerId: string;
  readonly startedAt: number;
  readonly inside: Inhabitant;
  /** It has tagged itself and looks for the others. */
  joined = false;
  leaving = false;
  /** The highest order of a record that it ever had, by the member's number. */
  readonly orders: (Pick<NodeRecord, 'peerId' | 'incarnation' | 'sequence'> | undefined)[] = [];
  /** Who is alive by its last word, as of the facts that it reported. */
  readonly #alive = new Marks();
  readonly #roll: Roll;

  constructor(
    about: { host: Host; process: SimProcess; peerId: string; at: number; roll: Roll },
    inside: Inhabitant,
  ) {
    this.#roll = about.roll;
    this.host = about.host;
    this.process = about.process;
    this.id = about.host.id;
    this.peerId = about.peerId;
    this.startedAt = about.at;
    this.inside = inside;
  }

  judge(id: string, verdict: Verdict): void {
    this.#alive.set(this.#roll.numberOf(id), verdict === 'alive');
  }

  /** So many members it takes for alive. */
  get alive(): number {
    return this.#alive.size;
  }

  takesForAlive(id: string): boolean {
    return this.#alive.has(this.#roll.numberOf(id));
  }

  get lives(): boolean {
    return this.process.alive;
  }
}

export type Verdict = 'alive' | 'suspect' | 'dead' | 'left' | 'forgotten';

const discoveryMs = 30_000;

export const firstRecord = (about: {
  readonly id: string;
  readonly peerId: string;
  readonly zone: string;
  readonly incarnation: number;
}): NodeRecord => ({
  id: memberId(about.id),
  peerId: about.peerId,
  incarnation: about.incarnation,
  sequence: 0,
  role: 'worker',
  zone: about.zone,
  version: '0.1.0',
  addresses: { peer: `${about.id}:4002`, api: `http://${about.id}:8000` },
  life: { phase: 'joining' },
  engine: { phase: 'none' },
});

export type Inhabit = (record: NodeRecord, ports: ResidentPorts, onJoined: () => void) => Inhabitant;

export function clusterOf(own: NodeRecord, ports: ResidentPorts, codec: Codec): Cluster {
  const { clock, cloud, rng, openNetwork, probe, report, memory, remembered } = ports;
  const seal = sealOf(own.peerId);
  const options = { own, listing: 'shared', discoveryMs, rng, remembered } as const;
  return new Cluster(options, { clock, cloud, openNetwork, probe, memory, seal, codec, report });
}

/** The membership thread alone: what a cluster of a thousand is made of. */
export const membershipOnly =
  ({ withDuty, codec }: { readonly withDuty: boolean; readonly codec: Codec }): Inhabit =>
  (record, ports, onJoined) => {
    const { clock, cloud, rng, report } = ports;
    const cluster = clusterOf(record, ports, codec);
    const stopping = new AbortController().signal;
    let duty: Holding | null = null;
    return {
      cluster,
      start: async () => {
        await cluster.listen();
        const node = { cluster: 'sim', record, address: null };
        const tagging = tagSelf({ clock, cloud, report, rng, stopping }, node);
        if (ports.remembered === null) await tagging;
        cluster.join();
        onJoined();
        cluster.revise({ life: { phase: 'serving' } });
        duty = withDuty ? volunteer(cluster, ports) : null;
      },
      leave: async (withinMs) => {
        duty?.close();
        cluster.revise({ life: { phase: 'left' } });
        try {
          await untagSelf({ clock, cloud, report, stopping, ms: withinMs });
        } catch (error) {
          report({ fact: 'node.untagged', why: String(error) });
        }
      },
      viewHash: () => cluster.viewHash(),
      get holdsDuty() {
        return duty !== null && duty.holds() !== null;
      },
      notice: () => false,
      revise: (engine) => cluster.revise({ engine }),
      engine: null,
      burden: { clients: 0, logs: 0 },
    };
  };
