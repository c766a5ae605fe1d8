/**
 * The node's place among its peers, as three machines that know nothing of each other:
 *
 *   discovery   who may be a member ──bound, unbound──► membership, registry
 *   registry    what each says of itself ──recorded, rumoured, accused──► membership
 *   membership  who is here ──judged──► registry, discovery, and whoever listens
 *
 * This file carries words between them and between peers; it decides nothing. It runs in the membership thread of a
 * daemon, and directly in tests and in the simulator.
 */
import * as discovery from '../discovery/discovery.ts';
import { init as discoveryOf, type Listing, type State as DiscoveryState } from '../discovery/state.ts';
import type { Effect as DiscoveryEffect, Event as DiscoveryEvent } from '../discovery/events.ts';
import * as detector from '../membership/detector.ts';
import { byPeerId, isSettled, linked, memberOf, members } from '../membership/explanation.ts';
import type { Effect as MembershipEffect, Event as MembershipEvent } from '../membership/events.ts';
import * as detection from '../membership/state.ts';
import type { Member } from '../membership/member.ts';
import type { Effect as RegistryEffect, Event as RegistryEvent } from '../registry/events.ts';
import type { NodeRecord } from '../registry/record.ts';
import * as records from '../registry/records.ts';
import * as registry from '../registry/state.ts';
import type { ViewHash } from '../registry/view-hash.ts';
import { unreachable } from '../std/assert.ts';
import type { MemberId } from '../std/member-id.ts';
import { meshMax } from '../std/mesh.ts';
import type { Rng } from '../std/random.ts';
import type { Seal } from '../std/seal.ts';
import type { ClusterPort, Known, Revision } from './cluster-port.ts';
import { openDenials } from './denials.ts';
import { drive, type Driven } from './drive.ts';
import { explained } from './explain.ts';
import type { MemberExplanation } from './explanation.ts';
import type { Report } from './facts.ts';
import { nowhere, ourselves } from './translation.ts';
import { listeners } from './listeners.ts';
import { Loads } from './loads.ts';
import { hear, type Ears } from './hearing.ts';
import { protocolRange } from './hello.ts';
import type { Codec, Message } from './message.ts';
import type { Clock, Cloud, Memory, Network, NetworkEvents, Probe, Remembered } from './ports.ts';
import { Reach } from './reach.ts';
import type { MemberLoad } from './serving.ts';
import { Strangers } from './strangers.ts';
import { Telling } from './telling.ts';
import { sealVote } from './sealed-vote.ts';

/** Below it nothing is gossiped, and nobody pays for gossip streams; they stand before the first word that needs them. */
const gossipFrom = 40;
/** Two that know are needed, and one may be a liar or as new as we are. */
const askedMax = 3;
const wake = { type: 'tick' } as const;
const discoveryMachine = { step: discovery.step, deadline: discovery.deadline, wake };
const registryMachine = { step: records.step, deadline: records.deadline, wake };
const membershipMachine = { step: detector.step, deadline: detector.deadline, wake };

type ClusterOptions = {
  readonly own: NodeRecord;
  readonly listing: Listing;
  readonly discoveryMs: number;
  readonly rng: Rng;
  /** By an earlier life on this machine; null: nothing. */
  readonly remembered: Remembered | null;
};

type ClusterPorts = {
  readonly clock: Clock;
  readonly cloud: Pick<Cloud, 'sightings'>;
  readonly openNetwork: (events: NetworkEvents) => Promise<Network>;
  readonly probe: Probe;
  readonly memory: Memory;
  readonly seal: Seal;
  readonly codec: Codec;
  readonly report: Report;
};

export class Cluster implements ClusterPort {
  readonly changed = listeners<[id: MemberId]>();
  readonly muted = listeners<[id: MemberId]>();
  readonly barred = listeners<[peerId: string]>();
  /** A member told its load. */
  readonly loaded = listeners<[id: MemberId]>();
  readonly looked: Promise<void>;
  readonly informed: Promise<void>;
  readonly #options: ClusterOptions;
  readonly #ports: ClusterPorts;
  readonly #membership: Driven<detection.State, MembershipEvent>;
  readonly #registry: Driven<registry.State, RegistryEvent>;
  /** null until we join: nobody is looked for, admitted or dialled before that. */
  #discovery: Driven<DiscoveryState, DiscoveryEvent> | null = null;
  readonly #telling: Telling;
  readonly #reach: Reach;
  readonly #loads = new Loads();
  readonly #strangers: Strangers;
  readonly #denials: ReturnType<typeof openDenials>;

  constructor(options: ClusterOptions, ports: ClusterPorts) {
    const { own, rng } = options;
    const { clock, seal } = ports;
    [this.#options, this.#ports] = [options, ports];
    this.#telling = new Telling(ports.codec, () => linked(this.#membership.state()));
    this.#reach = new Reach(ports, {
      network: () => this.#telling.network,
      membership: (event) => this.#membership.deliver(event),
      discovery: (event) => this.#discovery?.deliver(event),
    });
    this.#strangers = new Strangers(clock);
    this.#denials = openDenials(clock, ports.report);
    ({ looked: this.looked, informed: this.informed } = this.#reach);
    this.#registry = drive<registry.State, RegistryEvent, RegistryEffect>(
      registryMachine,
      registry.init(own, seal, rng),
      clock,
      (effect) => this.#performRegistry(effect),
    );
    this.#membership = drive<detection.State, MembershipEvent, MembershipEffect>(
      membershipMachine,
      detection.init(ourselves(own, clock), rng, clock.now()),
      clock,
      (effect) => this.#performMembership(effect),
    );
  }

  async listen(): Promise<void> {
    const ears = this.#ears();
    this.#telling.network = await this.#ports.openNetwork({
      admit: (peerId) => this.admit(peerId),
      connected: (peerId) => this.#onConnected(peerId),
      disconnected: (peerId) => this.#onDisconnected(peerId),
      message: (author, body, via) => {
        const message = this.#ports.codec.decode(body);
        if (message !== null) hear({ author, message, via }, ears);
      },
    });
  }

  join(): void {
    if (this.#reach.isClosed) return;
    const { own, listing, discoveryMs, rng, remembered } = this.#options;
    const { clock } = this.#ports;
    const self = { selfId: own.id, selfPeerId: own.peerId };
    const about = { ...self, listing, discoveryMs, epochOffsetMs: clock.wallNow() - clock.now() };
    this.#discovery = drive<DiscoveryState, DiscoveryEvent, DiscoveryEffect>(
      discoveryMachine,
      discoveryOf(about, rng, clock.now()),
      clock,
      (effect) => this.#performDiscovery(effect),
    );
    if (remembered === null) return;
    const ageMs = clock.wallNow() - remembered.asOf;
    this.#discovery.deliver({ type: 'remembered', entries: remembered.members, ageMs });
  }

  own(): NodeRecord {
    return this.#registry.state().own;
  }

  members(): readonly Known[] {
    const all: Known[] = [];
    for (const member of members(this.#membership.state())) all.push(this.#known(member));
    return all;
  }

  member(id: MemberId): Known | null {
    const member = memberOf(this.#membership.state(), id);
    return member === undefined ? null : this.#known(member);
  }

  revise(change: Revision): void {
    this.#registry.deliver({ type: 'revised', change });
    if (change.life?.phase === 'left') this.#ports.memory.erase();
  }

  tellLoad(load: MemberLoad | null): void {
    const { id } = this.own();
    if (load === null) this.#loads.forget(id);
    else this.#loads.heard(id, load, this.#ports.clock.now());
    const muted = this.#loads.tell(load);
    if (muted) this.muted.tell(id);
    const message = muted ? ({ type: 'mute' } as const) : this.#loads.message();
    if (message !== null) this.#telling.toConnected(message);
  }

  heardLoad(id: MemberId, load: MemberLoad): void {
    if (memberOf(this.#membership.state(), id) === undefined) return;
    this.#loads.heard(id, load, this.#ports.clock.now());
  }

  suspect(id: MemberId): void {
    this.#membership.deliver({ type: 'suspected', id });
  }

  async admit(peerId: string): Promise<boolean> {
    const machine = this.#discovery;
    if (machine === null) return false;
    if (discovery.isAdmitted(machine.state(), peerId)) return true;
    const settled = this.#strangers.wait(peerId);
    machine.deliver({ type: 'stranger', peerId, isHere: true });
    const admitted = await settled;
    if (!admitted) this.#denials.deliver({ type: 'denied', peerId });
    return admitted;
  }

  explain(id: MemberId): Promise<MemberExplanation | null> {
    const now = this.#ports.clock.now();
    const [membership, registry] = [this.#membership.state(), this.#registry.state()];
    const views = { membership, registry, discovery: this.#discovery?.state() ?? null };
    return Promise.resolve(explained(id, views, now));
  }

  /** What all nodes that know the same agree on. */
  viewHash(): ViewHash {
    return records.viewHash(this.#registry.state());
  }

  async close(): Promise<void> {
    this.#reach.close();
    for (const machine of [this.#discovery, this.#membership, this.#registry, this.#denials]) machine?.stop();
    this.#strangers.close();
    await this.#telling.network?.close();
  }

  #performDiscovery(effect: DiscoveryEffect): void {
    switch (effect.type) {
      case 'look':
        return void this.#reach.look();
      case 'bound':
        return this.#onBound(effect.binding);
      case 'unbound':
        return this.#onUnbound(effect.id);
      case 'barred':
        return this.barred.tell(effect.peerId);
      case 'disputed':
        return this.#membership.deliver(effect);
      case 'vouch':
        return this.#vouch(effect);
      case 'ask':
        return this.#telling.toSome(askedMax, effect);
      case 'remember':
        return this.#remember(effect);
      case 'settled':
        return this.#strangers.settle(effect.peerId, effect.admitted);
      case 'fact':
        return this.#ports.report(effect.fact);
      default:
        return unreachable(effect);
    }
  }

  #performRegistry(effect: RegistryEffect): void {
    switch (effect.type) {
      case 'gossip':
        return this.#telling.byGossip(effect.message);
      case 'send':
        return this.#telling.to(effect.peerId, effect.message);
      case 'recorded':
        return this.#onRecorded(effect.record);
      case 'stranger':
        this.#discovery?.deliver({ ...effect, type: 'signed' });
        return this.#discovery?.deliver({ ...effect, isHere: false });
      case 'rumoured':
      case 'accused':
        return this.#membership.deliver(effect);
      case 'fact':
        return this.#ports.report(effect.fact);
      default:
        return unreachable(effect);
    }
  }

  #performMembership(effect: MembershipEffect): void {
    switch (effect.type) {
      case 'dial':
        return void this.#reach.dial(effect);
      case 'hang-up':
        return void this.#telling.network?.hangUp(effect.peerId);
      case 'beat':
        return this.#telling.beat(effect, this.viewHash());
      case 'watch':
        return this.#telling.to(effect.peerId, { type: 'watch', on: effect.on });
      case 'accuse':
        return this.#telling.to(effect.peerId, { type: 'accused', incarnation: effect.incarnation });
      case 'probe':
        return void this.#reach.probe(effect);
      case 'vote':
        return this.#tellVote(effect);
      case 'refute':
        return this.#registry.deliver({ type: 'refute' });
      case 'isolated':
      case 'unreached':
        return this.#discovery?.deliver(effect);
      case 'judged':
        return this.#onJudged(effect);
      case 'fact':
        return this.#ports.report(effect.fact);
      default:
        return unreachable(effect);
    }
  }

  #onBound({
    id,
    peerId,
    address,
    zone,
    voter,
  }: Extract<DiscoveryEffect, { type: 'bound' }>['binding']): void {
    // Who has no voice has no record. Without an address it has no voice either: it comes to us.
    if (!voter) this.#registry.deliver({ type: 'unbound', id });
    const binding = { id, peerId, address: address ?? nowhere, zone, voter };
    this.#membership.deliver({ type: 'bound', binding });
    if (voter) this.#registry.deliver({ type: 'bound', id, peerId });
    this.changed.tell(id);
    if (this.#membership.state().members.size >= gossipFrom) this.#telling.network?.openGossip();
  }

  #onUnbound(id: MemberId): void {
    this.#membership.deliver({ type: 'unbound', id });
    this.#registry.deliver({ type: 'unbound', id });
    this.#loads.forget(id);
    this.changed.tell(id);
  }

  #onRecorded({ id, incarnation, life }: NodeRecord): void {
    this.#membership.deliver({ type: 'recorded', id, incarnation, left: life.phase === 'left' });
    if (id !== this.own().id) this.changed.tell(id);
  }

  #onJudged({ id, health }: Extract<MembershipEffect, { type: 'judged' }>): void {
    this.#registry.deliver({ type: 'judged', id, dead: health === 'dead' });
    this.#discovery?.deliver({ type: 'judged', id, live: health === 'alive', left: health === 'left' });
    if (health === 'alive') this.#reach.meet();
    if (health === 'dead' || health === 'left') this.#loads.forget(id);
    this.changed.tell(id);
  }

  #onConnected(peerId: string): void {
    const { version } = this.own();
    this.#telling.to(peerId, { type: 'hello', protocol: protocolRange, version });
    this.#membership.deliver({ type: 'connected', peerId });
    this.#registry.deliver({ type: 'connected', peerId });
    this.#discovery?.deliver({ type: 'met', peerId });
    const load = this.#loads.message();
    if (load !== null) this.#telling.to(peerId, load);
  }

  #onDisconnected(peerId: string): void {
    this.#registry.deliver({ type: 'disconnected', peerId });
    this.#membership.deliver({ type: 'disconnected', peerId });
    this.#discovery?.deliver({ type: 'parted', peerId });
  }

  /** What becomes of words of peers. */
  #ears(): Ears {
    const { seal, report } = this.#ports;
    return {
      seal,
      member: (peerId) => byPeerId(this.#membership.state(), peerId),
      isSettled: (id) => isSettled(this.#membership.state(), id, this.#ports.clock.now()),
      membership: this.#membership.deliver,
      registry: this.#registry.deliver,
      agrees: (hash) => records.isAgreed(this.#registry.state(), hash),
      discovery: (event) => this.#discovery?.deliver(event),
      apart: (peerId, fact) => {
        report(fact);
        void this.#telling.network?.hangUp(peerId);
      },
      loaded: (id, load) => {
        this.#loads.heard(id, load, this.#ports.clock.now());
        this.loaded.tell(id);
      },
      muted: (id) => {
        if (this.#loads.forget(id)) this.muted.tell(id);
      },
    };
  }

  #tellVote({ vote, wide }: Extract<MembershipEffect, { type: 'vote' }>): void {
    const message = sealVote({ by: this.own().peerId, vote }, this.#ports.seal);
    this.#telling.toEverybody(message, wide);
  }

  #vouch({ entries, to }: Extract<DiscoveryEffect, { type: 'vouch' }>): void {
    const message: Message = { type: 'vouch', entries };
    // In larger clusters gossip reaches everybody for less.
    if (to !== null) this.#telling.to(to, message);
    else this.#telling.toEverybody(message, this.#membership.state().members.size >= meshMax);
  }

  #remember({ entries: members }: Extract<DiscoveryEffect, { type: 'remember' }>): void {
    const { clock, memory } = this.#ports;
    if (this.own().life.phase !== 'left') memory.keep({ members, asOf: clock.wallNow() });
  }

  #known({ id, peerId, zone, health, met, heardAt }: Member): Known {
    const newest = records.recordOf(this.#registry.state(), id);
    const record = newest?.peerId === peerId ? newest : null;
    return { id, peerId, zone, health, heardAt: met ? heardAt : null, record, load: this.#loads.of(id) };
  }
}
