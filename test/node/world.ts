/**
 * Several nodes in one process under virtual time: the real composition over a network, a cloud and engines that keep
 * state in memory and can be made to fail.
 */
import type { Event as EngineEvent, Order } from '../../src/engine/orders.ts';
import type { Fact, Report } from '../../src/node/facts.ts';
import { Cluster } from '../../src/node/cluster.ts';
import { wireCodec } from '../../src/node/message.ts';
import { Node } from '../../src/node/node.ts';
import type {
  Clock,
  Cloud,
  EngineHost,
  Network,
  NetworkEvents,
  Remembered,
  Sighting,
} from '../../src/node/ports.ts';
import type { Reading } from '../../src/spot/notices.ts';
import { noAbility } from '../../src/std/ability.ts';
import { Failure } from '../../src/std/failure.ts';
import { memberId } from '../../src/std/member-id.ts';
import type { Seal } from '../../src/std/seal.ts';
import { instant, wallTime } from '../../src/std/time.ts';

type Timer = { readonly at: number; readonly order: number; readonly wake: () => void };

export class VirtualClock implements Clock {
  #now = 0;
  #order = 0;
  readonly #timers = new Set<Timer>();

  now = () => instant(this.#now);
  wallNow = () => wallTime(1_700_000_000_000 + this.#now);

  wakeAt = (at: number, wake: () => void): (() => void) => {
    const timer = { at, order: this.#order++, wake };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  };

  /** Every promise that can settle without time passing settles first. */
  async run(ms: number): Promise<void> {
    const until = this.#now + ms;
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      const [next] = [...this.#timers].toSorted((a, b) => a.at - b.at || a.order - b.order);
      if (next === undefined || next.at > until) break;
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.wake();
    }
    this.#now = until;
  }
}

type Host = {
  readonly name: string;
  readonly node: Node;
  readonly facts: Fact[];
  readonly moves: string[];
  tags: Record<string, string>;
  /** It runs: neither killed nor standing still. */
  up: boolean;
  killed: boolean;
  /** Its engine's own account, as the next sample finds it. */
  engine: { running: number; waiting: number; generationTokens: number; frozen: boolean };
  /** What the metadata service says of an interruption. */
  notice: Reading | null;
};

export class World {
  readonly clock = new VirtualClock();
  readonly hosts = new Map<string, Host>();
  /** The EC2 API answers. */
  ec2 = true;
  /** Whether it says who is there: it takes tags all the same. */
  lists = true;
  /** Instances may tag themselves. */
  mayTag = true;
  /** Listings of instances that were asked for, by whom. */
  readonly looks: string[] = [];
  /** Instances that are listed, and whose kernel answers, but no node. */
  readonly absent = new Set<string>();
  /** Pairs, by their names in order, that cannot connect. */
  readonly apart = new Set<string>();
  readonly #memories = new Map<string, Remembered>();
  readonly #links = new Set<string>();
  readonly #events = new Map<string, NetworkEvents>();

  async start(
    name: string,
    options: {
      readonly tags?: boolean;
      readonly engineStops?: boolean;
      readonly model?: string;
      readonly contextTokens?: number;
    } = {},
  ): Promise<Host> {
    const { model = 'm', contextTokens = 4_096 } = options;
    const facts: Fact[] = [];
    const engine = { running: 0, waiting: 0, generationTokens: 0, frozen: false };
    const host = {
      name,
      facts,
      moves: [],
      tags: this.hosts.get(name)?.tags ?? {},
      up: true,
      killed: false,
      notice: null,
      engine,
    } as unknown as Host;
    const record = {
      id: memberId(name),
      peerId: `peer-${name}`,
      incarnation: this.clock.wallNow(),
      sequence: 0,
      role: 'worker' as const,
      zone: 'us-east-1a',
      version: '0.1.0',
      addresses: { peer: `${name}:4002`, api: `http://${name}:8000` },
      life: { phase: 'joining' as const },
      engine: { phase: 'starting' as const, models: [model], contextTokens: null },
    };
    const { clock } = this;
    const rng = { seed: this.hosts.size + 1 };
    const remembered = this.#memories.get(name) ?? null;
    const cloud = this.#cloud(host, options.tags ?? true);
    const report: Report = (fact) => facts.push(fact);
    const openNetwork = (events: NetworkEvents) => Promise.resolve(this.#network(name, events));
    const cluster = new Cluster(
      { own: record, listing: 'shared', discoveryMs: 30_000, rng, remembered },
      {
        clock,
        cloud,
        openNetwork,
        report,
        seal: sealOf(`peer-${name}`),
        codec: wireCodec,
        probe: (to) => this.#probe(to.host),
        memory: {
          keep: (kept) => void this.#memories.set(name, kept),
          erase: () => void this.#memories.delete(name),
        },
      },
    );
    const node = new Node(
      {
        cluster: 'test',
        address: null,
        isTagged: remembered !== null,
        engine: { expectedModels: [model], readyMs: 60_000 },
        record,
      },
      {
        ...{ clock, rng, cloud, cluster, report },
        readNotice: (path) => Promise.resolve(path === 'instance-action' ? host.notice : null),
        engineHost: engineThat({ stops: options.engineStops ?? true, engine, model, contextTokens }),
      },
    );
    Object.assign(host, { node });
    node.serving.onMove((member, why) => host.moves.push(`${member} ${why}`));
    this.hosts.set(name, host);
    await node.start();
    return host;
  }

  /** The process is gone: its connections close, and its kernel refuses new ones. */
  kill(name: string): void {
    Object.assign(this.hosts.get(name)!, { up: false, killed: true });
    for (const other of this.hosts.keys()) this.#cut(name, other);
  }

  #cut(a: string, b: string): void {
    if (!this.#links.delete([a, b].toSorted().join(' '))) return;
    for (const [end, other] of [
      [a, b],
      [b, a],
    ] as const)
      if (this.hosts.get(end)!.up) this.#events.get(end)?.disconnected(`peer-${other}`);
  }

  #probe(host: string): Promise<'answered' | 'refused'> {
    return Promise.resolve(
      this.hosts.get(host)?.killed === false || this.absent.has(host) ? 'answered' : 'refused',
    );
  }

  async stop(): Promise<void> {
    for (const { node } of this.hosts.values()) await node.close();
  }

  #cloud(host: Host, mayTag: boolean): Cloud {
    const answer = <T>(make: () => T): Promise<T> =>
      this.ec2 ? Promise.resolve(make()) : Promise.reject(new Failure('unreachable', 'ec2: unreachable'));
    const sighting = ({ name, tags, up }: Pick<Host, 'name' | 'tags' | 'up'>): Sighting[] =>
      tags['SynktiCluster'] === undefined || !up
        ? []
        : [
            {
              instanceId: name,
              peerId: tags['SynktiPeerId'] ?? null,
              address: { host: name, port: 4001 },
              zone: 'us-east-1a',
              role: tags['SynktiRole'] ?? 'worker',
              left: tags['SynktiState'] === 'left',
            },
          ];
    return {
      sightings: () => {
        this.looks.push(host.name);
        if (!this.lists) return Promise.reject(new Failure('busy', 'ec2: busy'));
        const absent = [...this.absent].map((name) => {
          const tags = { SynktiCluster: 'test', SynktiPeerId: `peer-${name}` };
          return { name, tags, up: true };
        });
        return answer(() => [...this.hosts.values(), ...absent].flatMap(sighting));
      },
      tagSelf: async (tags) => {
        if (!this.mayTag) throw new Failure('denied', 'tag own instance: denied: UnauthorizedOperation');
        return answer(() => void (mayTag && Object.assign(host.tags, tags)));
      },
      untagSelf: (keys) => answer(() => keys.forEach((key) => delete host.tags[key])),
    };
  }

  #network(name: string, events: NetworkEvents): Network {
    this.#events.set(name, events);
    const pairWith = (other: string): string => [name, other].toSorted().join(' ');
    const linked = (other: string): boolean => this.#links.has(pairWith(other));
    const nameOf = (peerId: string): string => peerId.slice('peer-'.length);
    const deliver = (to: string, body: Uint8Array, via: 'direct' | 'gossip'): void => {
      this.clock.wakeAt(this.clock.now() + 5, () => {
        const up = [name, to].every((end) => this.hosts.get(end)!.up);
        if (linked(to) && up) this.#events.get(to)!.message(`peer-${name}`, body, via);
      });
    };
    return {
      peerId: `peer-${name}`,
      dial: async ({ peerId }) => {
        const other = nameOf(peerId);
        if (linked(other)) return;
        if (this.hosts.get(other)?.killed !== false)
          throw new Failure('missing', `dial ${other}: missing: refused`);
        if (!this.hosts.get(other)!.up || this.apart.has(pairWith(other)))
          throw new Failure('late', `dial ${other}: late`);
        const admitted = await this.#events.get(other)!.admit(`peer-${name}`);
        if (!admitted) throw new Failure('denied', `dial ${other}: denied`);
        if (linked(other)) return;
        this.#links.add(pairWith(other));
        events.connected(peerId);
        this.#events.get(other)!.connected(`peer-${name}`);
      },
      hangUp: (peerId) => Promise.resolve(this.#cut(name, nameOf(peerId))),
      openGossip: () => {},
      gossip: (body) => {
        for (const other of this.hosts.keys()) if (linked(other)) deliver(other, body, 'gossip');
      },
      send: (peerId, body) => {
        if (!linked(nameOf(peerId))) return false;
        deliver(nameOf(peerId), body, 'direct');
        return true;
      },
      close: () => Promise.resolve(),
    };
  }
}

/** A signature that names its maker: nobody forges anything here. */
const sealOf = (self: string): Seal => ({
  sign: (text) => `${self}:${text.length}`,
  verify: (peerId, text, signature) => signature === `${peerId}:${text.length}`,
});

/** Starts and answers as it should; without `stops` neither signal ends it, as a process stuck in the kernel. */
const engineThat = ({
  stops,
  engine,
  model,
  contextTokens,
}: Pick<Host, 'engine'> & {
  readonly stops: boolean;
  readonly model: string;
  readonly contextTokens: number;
}): EngineHost => ({
  perform: (order: Order, answer: (event: EngineEvent) => void) => {
    const { life } = order;
    switch (order.type) {
      case 'adopt':
        return answer({ type: 'adopt.none', life });
      case 'spawn':
        return answer({ type: 'spawned', life, pid: 1 });
      case 'probe':
        return answer({
          type: 'probed',
          life,
          healthy: true,
          models: [{ id: model, maxModelLen: contextTokens }],
        });
      case 'warm':
        return answer({ type: 'warmed', life, ability: noAbility });
      case 'sample':
        if (engine.frozen) return;
        return answer({
          type: 'sampled',
          life,
          metrics: {
            running: engine.running,
            generationTokens: engine.generationTokens,
            waiting: engine.waiting,
            byModel: new Map(),
            kvUsage: 0,
            promptTokens: 0,
          },
        });
      case 'check':
        return answer({ type: 'checked', life, isDead: false, cause: null });
      case 'terminate':
      case 'kill':
        return stops ? answer({ type: 'exited', life, code: 0, signal: null, cause: null }) : undefined;
      case 'sweep':
        return stops ? answer({ type: 'swept', life, left: 0 }) : launched(order, answer);
    }
  },
  close: () => Promise.resolve(),
});

/** The sweep before the first launch finds nothing; a later one is never answered. */
function launched({ life }: Order, answer: (event: EngineEvent) => void): void {
  if (life <= 1) answer({ type: 'swept', life, left: 0 });
}
