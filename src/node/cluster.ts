/**
 * The node's place among its peers: drives membership over the network and EC2, keeps everyone's records, and tells
 * peers what changed here. Records go by gossip and on direct streams; load goes on direct streams alone, where it is
 * the sign of life as well.
 */
import type { Listed, State } from '../membership/membership.ts';
import * as membership from '../membership/membership.ts';
import type { Member } from '../membership/member.ts';
import { decode, encode, type Message } from '../registry/message.ts';
import type { NodeRecord } from '../registry/record.ts';
import * as registry from '../registry/registry.ts';
import { Failure } from '../std/failure.ts';
import { memberId, type MemberId } from '../std/member-id.ts';
import type { Rng } from '../std/random.ts';
import { after } from '../std/time.ts';
import { drive, type Driven } from './drive.ts';
import type { Report } from './facts.ts';
import { listeners } from './listeners.ts';
import type { ClusterPort, HeardLoad, Known, Revision } from './cluster-port.ts';
import type { Clock, Cloud, Network, NetworkEvents, Sighting } from './ports.ts';
import type { MemberLoad } from './serving.ts';
import { within } from './within.ts';

/** Load is told this often when it changed, and every second beat even when it did not. */
const beatMs = 500;
const lookMs = 10_000;
const dialMs = 3_000;
/** A stranger's handshake waits for one look at EC2 at the longest. */
const admitMs = 5_000;
/** Strangers waiting at once; more are turned away unheard. */
const waitingMax = 64;

type ClusterOptions = { readonly own: NodeRecord; readonly discoveryMs: number; readonly rng: Rng };

type ClusterPorts = {
  readonly clock: Clock;
  readonly cloud: Pick<Cloud, 'sightings'>;
  readonly openNetwork: (events: NetworkEvents) => Promise<Network>;
  readonly report: Report;
};

export class Cluster implements ClusterPort {
  /** A member's record or health changed in a way that others act on. */
  readonly changed = listeners<[id: MemberId]>();
  /** A member, perhaps ourselves, that told the load of its engine tells it no more: the engine stands still. */
  readonly muted = listeners<[id: MemberId]>();
  /** A member told its load. */
  readonly loaded = listeners<[id: MemberId]>();
  /** The first answer of EC2 has come, or its absence. */
  readonly looked: Promise<void>;
  readonly #events: NetworkEvents;

  readonly #options: ClusterOptions & ClusterPorts;
  readonly #records: registry.Registry;
  readonly #loads = new Map<MemberId, HeardLoad>();
  readonly #first: State;
  readonly #firstLook = Promise.withResolvers<void>();
  readonly #stopping = new AbortController();
  /** Peers whose direct stream did not take our newest record. */
  readonly #owed = new Set<string>();
  /** Strangers that wait for a look at EC2. */
  #waiting: (() => void)[] = [];
  #load: MemberLoad | null = null;
  #network: Network | null = null;
  /** null until we join: nobody is looked for, dialled or judged before that. */
  #driven: Driven<State, membership.Event> | null = null;
  #disarmBeat = (): void => {};

  constructor(options: ClusterOptions, ports: ClusterPorts) {
    const { own, discoveryMs } = options;
    const { clock } = ports;
    this.#options = { ...options, ...ports };
    this.#records = registry.init(own);
    this.looked = this.#firstLook.promise;
    this.#first = membership.init({ selfId: own.id, discoveryMs }, options.rng, clock.now());
    this.#events = {
      admit: (peerId) => this.admit(peerId),
      connected: (peerId) => this.#onConnected(peerId),
      disconnected: (peerId) => this.#onDisconnected(peerId),
      message: (author, body, via) => {
        const message = decode(body);
        if (message !== null) this.#onMessage(author, message, via);
      },
    };
  }

  own(): NodeRecord {
    return this.#records.own;
  }

  members(): readonly Known[] {
    return [...this.#members()].map((member) => known(member, this.#records, this.#loads));
  }

  member(id: MemberId): Known | null {
    const member = this.#state().members.get(id);
    return member === undefined ? null : known(member, this.#records, this.#loads);
  }

  revise(change: Revision): void {
    if (registry.revise(this.#records, change)) this.#tellRecord();
  }

  heardLoad(id: MemberId, load: MemberLoad): void {
    const at = this.#options.clock.now();
    if (this.#state().members.has(id)) this.#loads.set(id, { ...load, at });
  }

  suspect(id: MemberId): void {
    this.#deliver({ type: 'suspected', id });
  }

  async listen(): Promise<void> {
    this.#network = await this.#options.openNetwork(this.#events);
  }

  join(): void {
    if (this.#stopping.signal.aborted) return;
    const machine = { ...membership, wake: { type: 'tick' } as const };
    this.#driven = drive(machine, this.#first, this.#options.clock, (effect: membership.Effect) =>
      this.#perform(effect),
    );
    this.#beat('', 0);
  }

  tellLoad(load: MemberLoad | null): void {
    this.#load = load;
  }

  explain(): Promise<null> {
    return Promise.resolve(null);
  }

  async close(): Promise<void> {
    this.#driven?.stop();
    this.#disarmBeat();
    this.#stopping.abort();
    for (const wake of this.#waiting) wake();
    await this.#network?.close();
  }

  #state(): State {
    return this.#driven?.state() ?? this.#first;
  }

  #deliver(event: membership.Event): void {
    this.#driven?.deliver(event);
  }

  #members(): Iterable<Member> {
    return this.#state().members.values();
  }

  #perform(effect: membership.Effect): void {
    switch (effect.type) {
      case 'look':
        return void this.#look();
      case 'dial':
        return void this.#dial(effect);
      case 'hang-up':
        return void this.#network?.hangUp(effect.peerId);
      case 'fact':
        this.#options.report({ ...effect.fact });
        if ('member' in effect.fact) this.#onTurn(effect.fact.fact, effect.fact.member);
    }
  }

  #onTurn(fact: string, id: MemberId): void {
    if (fact === 'member.forgotten' || fact === 'member.died') this.#loads.delete(id);
    if (fact === 'member.forgotten') this.#records.records.delete(id);
    this.changed.tell(id);
  }

  async #look(): Promise<void> {
    const { cloud } = this.#options;
    try {
      const sightings = await this.#within(lookMs, (signal) => cloud.sightings(signal));
      this.#deliver({ type: 'looked', listed: sightings.map(listedFrom) });
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.#deliver({ type: 'look-failed', why });
    }
    this.#firstLook.resolve();
    const told = this.#waiting;
    this.#waiting = [];
    for (const wake of told) wake();
  }

  async #dial({ id, ...peer }: Extract<membership.Effect, { type: 'dial' }>): Promise<void> {
    try {
      await this.#within(dialMs, async (signal) => this.#network?.dial(peer, signal));
    } catch (error) {
      const refused = error instanceof Failure && error.kind === 'missing';
      this.#deliver({ type: 'dial-failed', id, refused });
    }
  }

  #within<T>(ms: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return within({ clock: this.#options.clock, ms, stopping: this.#stopping.signal }, work);
  }

  #onConnected(peerId: string): void {
    this.#deliver({ type: 'connected', peerId });
    this.#tellRecordTo(peerId);
  }

  #onDisconnected(peerId: string): void {
    this.#owed.delete(peerId);
    this.#deliver({ type: 'disconnected', peerId });
  }

  #onMessage(author: string, message: Message, via: 'direct' | 'gossip'): void {
    if (via === 'direct') this.#deliver({ type: 'heard', peerId: author });
    if (message.type === 'record') return this.#onRecord(author, message.record);
    const member = membership.byPeerId(this.#state(), author);
    if (via !== 'direct' || member === undefined) return;
    if (message.type === 'load') {
      this.heardLoad(member.id, { running: message.running, waiting: message.waiting });
      this.loaded.tell(member.id);
    } else if (this.#loads.delete(member.id)) this.muted.tell(member.id);
  }

  /** Who holds the tag of an instance speaks for that instance and for no other. */
  #onRecord(author: string, record: NodeRecord): void {
    const { own } = this.#records;
    const speaker = membership.byPeerId(this.#state(), author);
    if (record.id !== (author === own.peerId ? own.id : speaker?.id)) return;
    const outcome = registry.merge(this.#records, record, author);
    if (outcome === 'stale-self') return this.#tellRecord();
    if (outcome !== 'news') return;
    const { id, incarnation, life } = record;
    const left = life.phase === 'left';
    this.#deliver({ type: 'recorded', id, peerId: author, incarnation, left });
    this.changed.tell(id);
  }

  #tellRecord(): void {
    this.#network?.gossip(encode({ type: 'record', record: this.#records.own }));
    for (const { connected, peerId } of this.#members()) {
      if (connected && peerId !== null) this.#tellRecordTo(peerId);
    }
  }

  #tellRecordTo(peerId: string): void {
    this.#owed.delete(peerId);
    const taken = this.#network?.send(peerId, encode({ type: 'record', record: this.#records.own }));
    if (taken !== true) this.#owed.add(peerId);
  }

  #beat(previous: string, count: number): void {
    const { clock } = this.#options;
    const load = this.#load;
    this.#noteOwnLoad(load);
    const message: Message = load === null ? { type: 'alive' } : { type: 'load', ...load };
    const text = JSON.stringify(message);
    for (const { connected, peerId } of this.#members()) {
      if (!connected || peerId === null) continue;
      if (this.#owed.has(peerId)) this.#tellRecordTo(peerId);
      if (text !== previous || count % 2 === 0) this.#network?.send(peerId, encode(message));
    }
    this.#disarmBeat = clock.wakeAt(after(clock.now(), beatMs), () => this.#beat(text, count + 1));
  }

  #noteOwnLoad(load: MemberLoad | null): void {
    const { id } = this.#records.own;
    if (load !== null) this.#loads.set(id, { ...load, at: this.#options.clock.now() });
    else if (this.#loads.delete(id)) this.muted.tell(id);
  }

  async admit(peerId: string): Promise<boolean> {
    const { clock, report } = this.#options;
    if (membership.isAdmitted(this.#state(), peerId)) return true;
    if (this.#waiting.length >= waitingMax) return false;
    const looked = Promise.withResolvers<void>();
    this.#waiting.push(looked.resolve);
    const disarm = clock.wakeAt(after(clock.now(), admitMs), looked.resolve);
    this.#deliver({ type: 'stranger' });
    await looked.promise;
    disarm();
    const admitted = membership.isAdmitted(this.#state(), peerId);
    if (!admitted) report({ fact: 'peer.denied', peerId });
    return admitted;
  }
}

const listedFrom = ({ instanceId, ...rest }: Sighting): Listed => ({ id: memberId(instanceId), ...rest });

function known(
  { id, peerId, zone, health, heardAt }: Member,
  { records }: registry.Registry,
  loads: ReadonlyMap<MemberId, HeardLoad>,
): Known {
  return { id, peerId, zone, health, heardAt, record: records.get(id) ?? null, load: loads.get(id) ?? null };
}
