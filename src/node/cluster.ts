/**
 * The node's place among its peers: drives membership over the network and EC2, keeps everyone's records, and tells
 * peers what changed here. Records go by gossip and on direct streams; load goes on direct streams alone, where it is
 * the sign of life as well.
 */
import type { Listed, State } from '../membership/membership.ts';
import * as membership from '../membership/membership.ts';
import type { Health, Member } from '../membership/member.ts';
import { decode, encode, type Message } from '../registry/message.ts';
import type { NodeRecord } from '../registry/record.ts';
import * as registry from '../registry/registry.ts';
import { Failure } from '../std/failure.ts';
import { memberId, type MemberId } from '../std/member-id.ts';
import type { Rng } from '../std/random.ts';
import { after, type Instant } from '../std/time.ts';
import { drive } from './drive.ts';
import type { Report } from './facts.ts';
import { listeners, type Listeners } from './listeners.ts';
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

export type Known = {
  readonly id: MemberId;
  readonly peerId: string | null;
  readonly zone: string;
  readonly health: Health;
  readonly heardAt: Instant;
  readonly record: NodeRecord | null;
  readonly load: HeardLoad | null;
};

type HeardLoad = MemberLoad & { readonly at: Instant };

export type Cluster = {
  readonly events: NetworkEvents;
  /** A member's record or health changed in a way that others act on. */
  readonly changed: Listeners<[id: MemberId]>;
  /** A member, perhaps ourselves, that told the load of its engine tells it no more: the engine stands still. */
  readonly muted: Listeners<[id: MemberId]>;
  own(): NodeRecord;
  revise(change: Parameters<typeof registry.revise>[1]): void;
  members(): readonly Known[];
  heardLoad(id: MemberId, load: MemberLoad): void;
  suspect(id: MemberId): void;
  /** Begins to look for members and to tell them. */
  join(network: Network): void;
  /** The first answer of EC2 has come, or its absence. */
  readonly looked: Promise<void>;
  stop(): void;
};

export function openCluster(options: {
  readonly own: NodeRecord;
  readonly discoveryMs: number;
  readonly rng: Rng;
  readonly clock: Clock;
  readonly cloud: Cloud;
  readonly localLoad: () => MemberLoad | null;
  readonly report: Report;
}): Cluster {
  const { clock, cloud, report } = options;
  const records = registry.init(options.own);
  const loads = new Map<MemberId, HeardLoad>();
  const changed = listeners<[MemberId]>();
  const muted = listeners<[MemberId]>();
  /** Peers whose direct stream did not take our newest record. */
  const owed = new Set<string>();
  let waiting: (() => void)[] = [];
  let network: Network | null = null;
  const stopping = new AbortController();
  let disarmBeat = (): void => {};
  const firstLook = Promise.withResolvers<void>();

  const first = membership.init(
    { selfId: options.own.id, discoveryMs: options.discoveryMs },
    options.rng,
    clock.now(),
  );
  let driven: ReturnType<typeof drive<State, membership.Event, membership.Effect>> | null = null;
  const state = (): State => driven?.state() ?? first;
  const deliver = (event: membership.Event): void => driven?.deliver(event);

  function perform(effect: membership.Effect): void {
    switch (effect.type) {
      case 'look':
        return void look();
      case 'dial':
        return void dial(effect);
      case 'hang-up':
        return void network?.hangUp(effect.peerId);
      case 'fact':
        report({ ...effect.fact });
        if ('member' in effect.fact) onTurn(effect.fact.fact, effect.fact.member);
    }
  }

  function onTurn(fact: string, id: MemberId): void {
    if (fact === 'member.forgotten' || fact === 'member.died') loads.delete(id);
    if (fact === 'member.forgotten') records.records.delete(id);
    changed.tell(id);
  }

  async function look(): Promise<void> {
    try {
      const limits = { clock, ms: lookMs, stopping: stopping.signal };
      const sightings = await within(limits, (signal) => cloud.sightings(signal));
      deliver({ type: 'looked', listed: sightings.map(listedFrom) });
    } catch (error) {
      deliver({ type: 'look-failed', why: error instanceof Error ? error.message : String(error) });
    }
    firstLook.resolve();
    const told = waiting;
    waiting = [];
    for (const wake of told) wake();
  }

  async function dial({ id, peerId, address }: Extract<membership.Effect, { type: 'dial' }>): Promise<void> {
    try {
      const limits = { clock, ms: dialMs, stopping: stopping.signal };
      await within(limits, async (signal) => network?.dial({ peerId, address }, signal));
    } catch (error) {
      const refused = error instanceof Failure && error.kind === 'missing';
      deliver({ type: 'dial-failed', id, refused });
    }
  }

  function onMessage(author: string, message: Message, via: 'direct' | 'gossip'): void {
    if (via === 'direct') deliver({ type: 'heard', peerId: author });
    if (message.type === 'record') return onRecord(author, message.record);
    const member = membership.byPeerId(state(), author);
    if (via !== 'direct' || member === undefined) return;
    if (message.type === 'load')
      loads.set(member.id, { running: message.running, waiting: message.waiting, at: clock.now() });
    else if (loads.delete(member.id)) muted.tell(member.id);
  }

  /** Who holds the tag of an instance speaks for that instance and for no other. */
  function onRecord(author: string, record: NodeRecord): void {
    const speaksFor =
      author === records.own.peerId ? records.own.id : membership.byPeerId(state(), author)?.id;
    if (record.id !== speaksFor) return;
    const outcome = registry.merge(records, record, author);
    if (outcome === 'stale-self') return tellRecord();
    if (outcome !== 'news') return;
    const left = record.life.phase === 'left';
    deliver({ type: 'recorded', id: record.id, peerId: author, incarnation: record.incarnation, left });
    changed.tell(record.id);
  }

  function tellRecord(): void {
    const body = encode({ type: 'record', record: records.own });
    network?.gossip(body);
    for (const member of state().members.values()) {
      if (member.connected && member.peerId !== null && !network?.send(member.peerId, body))
        owed.add(member.peerId);
    }
  }

  function tellRecordTo(peerId: string): void {
    owed.delete(peerId);
    if (!network?.send(peerId, encode({ type: 'record', record: records.own }))) owed.add(peerId);
  }

  function beat(previous: string, count: number): void {
    const load = options.localLoad();
    if (load === null && loads.delete(options.own.id)) muted.tell(options.own.id);
    else if (load !== null) loads.set(options.own.id, { ...load, at: clock.now() });
    const message: Message = load === null ? { type: 'alive' } : { type: 'load', ...load };
    const text = JSON.stringify(message);
    for (const { connected, peerId } of state().members.values()) {
      if (!connected || peerId === null) continue;
      if (owed.has(peerId)) tellRecordTo(peerId);
      if (text !== previous || count % 2 === 0) network?.send(peerId, encode(message));
    }
    disarmBeat = clock.wakeAt(after(clock.now(), beatMs), () => beat(text, count + 1));
  }

  async function admit(peerId: string): Promise<boolean> {
    if (membership.isAdmitted(state(), peerId)) return true;
    if (waiting.length >= waitingMax) return false;
    const looked = Promise.withResolvers<void>();
    waiting.push(looked.resolve);
    const disarm = clock.wakeAt(after(clock.now(), admitMs), looked.resolve);
    deliver({ type: 'stranger' });
    await looked.promise;
    disarm();
    const admitted = membership.isAdmitted(state(), peerId);
    if (!admitted) report({ fact: 'peer.denied', peerId });
    return admitted;
  }

  return {
    changed,
    muted,
    looked: firstLook.promise,
    own: () => records.own,
    members: () => [...state().members.values()].map((member) => known(member, records, loads)),
    heardLoad: (id, load) => {
      if (state().members.has(id)) loads.set(id, { ...load, at: clock.now() });
    },
    suspect: (id) => deliver({ type: 'suspected', id }),
    revise: (change) => void (registry.revise(records, change) && tellRecord()),
    events: {
      admit,
      connected: (peerId) => {
        deliver({ type: 'connected', peerId });
        tellRecordTo(peerId);
      },
      disconnected: (peerId) => {
        owed.delete(peerId);
        deliver({ type: 'disconnected', peerId });
      },
      message: (author, body, via) => {
        const message = decode(body);
        if (message !== null) onMessage(author, message, via);
      },
    },
    join: (joined) => {
      network = joined;
      driven = drive({ ...membership, wake: { type: 'tick' } as const }, first, clock, perform);
      beat('', 0);
    },
    stop: () => {
      driven?.stop();
      disarmBeat();
      stopping.abort();
      for (const wake of waiting) wake();
    },
  };
}

const listedFrom = ({ instanceId, ...rest }: Sighting): Listed => ({ id: memberId(instanceId), ...rest });

function known(
  { id, peerId, zone, health, heardAt }: Member,
  { records }: registry.Registry,
  loads: ReadonlyMap<MemberId, HeardLoad>,
): Known {
  return { id, peerId, zone, health, heardAt, record: records.get(id) ?? null, load: loads.get(id) ?? null };
}
