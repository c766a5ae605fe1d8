/**
 * One node: its place in the cluster, its engine and its way of leaving, wired to each other. Whatever decides is a
 * pure machine below; whatever acts is a port. The gateway asks through `serving`, an operator through `operations`.
 *
 * Start: engine and notices at once, tags before anything is dialled (peers admit by tag), then the cluster. Who
 * remembers the others bears its tags already, and does not wait for EC2. Stop runs through the drain, whatever caused it.
 */
import type { DrainReason } from '../drain/drain.ts';
import type { NodeRecord } from '../registry/record.ts';
import type { MemberId } from '../std/member-id.ts';
import type { Rng } from '../std/random.ts';
import { after } from '../std/time.ts';
import type { ClusterPort } from './cluster-port.ts';
import type { Fact, Report } from './facts.ts';
import type { HandedOn } from './handing-on.ts';
import { Leaving } from './leaving.ts';
import { listeners } from './listeners.ts';
import { LocalEngine } from './local-engine.ts';
import type { Clock, Cloud, EngineHost, ReadNotice } from './ports.ts';
import { NodeServing, type Counts } from './serve.ts';
import type { MemberLoad, MoveReason, Serving } from './serving.ts';
import { tagSelf, untagSelf } from './tags.ts';

/** The own load is told this often when it changed, and every fourth time when it did not. */
const loadMs = 500;
const loadRepeats = 4;
/** Of the time for the goodbye. */
const handOnShare = 0.5;

type NodeOptions = {
  readonly cluster: string;
  /** The first record: who this is and where it can be reached. */
  readonly record: NodeRecord;
  /** host:port of the libp2p listener, when peers cannot derive it from the private IP and the default port. */
  readonly address: string | null;
  /** An earlier life on this machine wrote these very tags, and did not say goodbye. */
  readonly isTagged: boolean;
  readonly engine: { readonly expectedModels: readonly string[]; readonly readyMs: number } | null;
};

type NodePorts = {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly cloud: Cloud;
  readonly readNotice: ReadNotice | null;
  readonly cluster: ClusterPort;
  readonly engineHost: EngineHost | null;
  readonly report: Report;
};

export class Node {
  readonly serving: Serving;
  readonly cluster: ClusterPort;
  readonly engine: LocalEngine | null;
  readonly leaving: Leaving;
  readonly counts: Counts = { entered: 0, moved: 0 };
  /** Before it says that it has left: what others would miss goes to them, within this time. */
  handOn: (withinMs: number) => Promise<HandedOn> = () => Promise.resolve({ orphaned: 0, taken: 0 });
  readonly #options: NodeOptions;
  readonly #ports: NodePorts;
  readonly #moves = listeners<[MemberId, MoveReason]>();
  readonly #stopping = new AbortController();
  /** No word of having joined may follow the goodbye. */
  readonly #parting = new AbortController();
  #disarmLoad = (): void => {};

  constructor(options: NodeOptions, ports: NodePorts) {
    const { clock, rng, engineHost: host } = ports;
    const { record } = options;
    this.#options = options;
    this.#ports = ports;
    const report: Report = (fact) => this.#report(fact);
    this.engine =
      host === null || options.engine === null
        ? null
        : new LocalEngine({ ...options.engine, host, rng, clock, report });
    this.cluster = ports.cluster;
    this.leaving = new Leaving({
      ...{ clock, readNotice: ports.readNotice, report },
      load: () => ({ generations: this.engine?.generations() ?? 0, relays: this.counts.entered }),
      stopEngine: async (withinMs) => this.engine?.stop(withinMs),
      sayGoodbye: (withinMs) => this.#sayGoodbye(withinMs),
    });
    const { cluster, engine, leaving, counts } = this;
    const moves = this.#moves;
    this.serving = new NodeServing({
      self: record.id,
      clock,
      cluster,
      engine,
      leaving,
      counts,
      moves,
      report,
    });
    this.#wire();
  }

  /** Resolves when the network listens; the rest of joining goes on by itself. */
  async start(): Promise<void> {
    await this.cluster.listen();
    this.engine?.start();
    this.leaving.watch();
    this.#join().catch((error: unknown) => this.#report({ fact: 'node.stumbled', why: String(error) }));
  }

  drain(reason: DrainReason, withinMs: number): void {
    this.leaving.begin(reason, withinMs);
  }

  /** Lets go of everything, in reverse order. The engine is left as the drain left it. */
  async close(): Promise<void> {
    this.#stopping.abort();
    this.#parting.abort();
    this.leaving.stop();
    this.#disarmLoad();
    await this.engine?.close();
    await this.cluster.close();
  }

  /** What one part does to another. */
  #wire(): void {
    const { cluster, engine, leaving } = this;
    engine?.changed.add(() => this.#onEngine(engine));
    engine?.counted.add(() => leaving.loadChanged());
    leaving.announced.add((reason, deadline) => {
      cluster.revise({ life: { phase: 'draining', reason, deadline } });
      this.#moves.tell(this.#options.record.id, 'drain');
    });
    cluster.changed.add((id) => this.#onMember(id));
    cluster.muted.add((id) => this.#moves.tell(id, 'silence'));
  }

  #onEngine(engine: LocalEngine): void {
    const { phase, models, maxModelLen: contextTokens, ability } = engine.status();
    const serves = phase === 'ready' && this.cluster.own().life.phase === 'joining';
    this.cluster.revise({
      engine: { phase, models: [...models], contextTokens, ability },
      ...(serves ? { life: { phase: 'serving' } } : {}),
    });
    if (serves) this.#report({ fact: 'node.serving', afterMs: Math.round(this.#ports.clock.now()) });
  }

  #onMember(id: MemberId): void {
    const member = this.cluster.member(id);
    const phase = member?.record?.life.phase;
    if (phase === 'draining' || phase === 'left') this.#moves.tell(id, 'drain');
    else if (member === null || member.health === 'dead') this.#moves.tell(id, 'dead');
    else if (member.health === 'suspect') this.#moves.tell(id, 'suspect');
  }

  async #join(): Promise<void> {
    const { cluster, record, address, isTagged } = this.#options;
    const means = { ...this.#tagging(), rng: this.#ports.rng, stopping: this.#parting.signal };
    const tagging = tagSelf(means, { cluster, record, address });
    if (!isTagged) await tagging;
    if (this.#stopping.signal.aborted) return;
    this.#tellLoad(null, 0);
    this.cluster.join();
    await this.cluster.looked;
    if (this.engine === null) this.cluster.revise({ life: { phase: 'serving' } });
    await tagging;
  }

  /**
   * What changed is told; under load, now and then what did not as well, because routing adds to a load what it has
   * sent since that was told.
   */
  #tellLoad(told: MemberLoad | null, times: number): void {
    const { clock } = this.#ports;
    const load = this.engine?.load() ?? null;
    const changed = load?.running !== told?.running || load?.waiting !== told?.waiting;
    const aged = load !== null && load.running > 0 && times % loadRepeats === 0;
    if (changed || aged) this.cluster.tellLoad(load);
    this.#disarmLoad = clock.wakeAt(after(clock.now(), loadMs), () => this.#tellLoad(load, times + 1));
  }

  async #sayGoodbye(withinMs: number): Promise<void> {
    const { clock } = this.#ports;
    this.#parting.abort();
    const since = clock.now();
    await this.#handOn(withinMs * handOnShare);
    this.cluster.revise({ life: { phase: 'left' } });
    await untagSelf({ ...this.#tagging(), ms: withinMs - (clock.now() - since) });
  }

  async #handOn(withinMs: number): Promise<void> {
    const { orphaned, taken } = await this.handOn(withinMs);
    if (orphaned > 0) this.#report({ fact: 'drain.handedOn', orphaned, taken });
  }

  #tagging() {
    const { clock, cloud } = this.#ports;
    return { clock, cloud, report: (fact: Fact) => this.#report(fact), stopping: this.#stopping.signal };
  }

  #report(fact: Fact): void {
    if (fact.fact === 'stream.moved') this.counts.moved++;
    this.#ports.report(fact);
  }
}
