/**
 * TCP and what stands on it, for all nodes: connections, their direct streams, and the port by which one node uses
 * them. A stream keeps its order and loses nothing while it stands; what cannot pass waits for a retransmission, which
 * comes later the longer nothing has passed. A process that dies closes its connections if the news can travel, and
 * leaves them half open if it cannot: then the next data is answered by a reset, once it gets through.
 */
import type { Network, NetworkEvents, PeerAddress } from '../../src/node/ports.ts';
import { Failure } from '../../src/std/failure.ts';
import type { Dice } from './dice.ts';
import { GossipMesh } from './mesh.ts';
import { kinds, type SimProcess } from './process.ts';
import type { Turn } from './turn.ts';
import { retransmission, type Host, type Terrain } from './terrain.ts';
import type { EventQueue } from './queue.ts';

/** What a node's libp2p lets wait for one slow peer, bytes, framing included. */
const waitingBytesMax = 262_144;
/** Of Noise and Yamux, and some of TCP. */
export const frameBytes = 16;
/** Noise, multistream, yamux, the direct stream: round trips, and CPU of both ends together. */
const handshake = { trips: 4, cpuMs: 10 };
const synAgainMs = 1_000;

/** What need not be read at the instant at which it comes: see `SimProcess.mail`. */
export type IsMail = (body: Uint8Array) => boolean;

/** A process on the network. */
export type Station = {
  readonly peerId: string;
  readonly host: Host;
  readonly process: SimProcess;
  readonly events: NetworkEvents;
  readonly ends: Map<string, End>;
  /** The last gossip that came to it: which, of all that was published, and when. */
  heardMessage: number;
  heardAt: number;
  /** It is or was connected with somebody: until then no gossip comes to it. */
  linked: boolean;
  /** It opens gossip streams to its peers, who open theirs in return. */
  gossips: boolean;
  /** Handed to its kernel so far, framing included. */
  sentBytes: number;
};

/** One end of a connection, and what comes out of it. */
export class End {
  readonly station: Station;
  /** Of the station. A beat that finds them here has to look at one thing less, at each end. */
  readonly host: Host;
  readonly process: SimProcess;
  readonly #events: NetworkEvents;
  open = true;
  /** Set once, when the pair is made, as are the next two. */
  other!: End;
  /** At the other end. */
  peer!: Station;
  peerId = '';
  /** Nothing that this end sent arrives before this. */
  arrivesAt = 0;
  held: Uint8Array[] = [];
  heldBytes = 0;
  heldSince = 0;
  readonly #net: SimNetwork;

  constructor(station: Station, net: SimNetwork) {
    this.station = station;
    this.host = station.host;
    this.process = station.process;
    this.#events = station.events;
    this.#net = net;
  }

  /** Whether the kernel at this end knows the connection. */
  get stands(): boolean {
    return this.open && this.process.alive;
  }

  hear(body: Uint8Array): void {
    if (!this.open) return this.#net.reset(this.other);
    this.#events.message(this.peerId, body, 'direct');
  }
}

export class SimNetwork {
  readonly stations = new Map<SimProcess, Station>();
  readonly mesh: GossipMesh;
  /** Hears of everybody whom a gate lets in. */
  onAdmitted: (gate: Station, comer: Station) => void = () => {};
  /** Direct messages that were sent. */
  sent = 0;
  readonly #queue: EventQueue;
  readonly #terrain: Terrain;
  readonly #turn: Turn;
  /** Ends with something that could not be sent. */
  readonly #holding = new Set<End>();
  readonly #isMail: IsMail;
  /** So many stations are `linked`. */
  #linked = 0;

  constructor(parts: { queue: EventQueue; terrain: Terrain; dice: Dice; turn: Turn; isMail: IsMail }) {
    this.#isMail = parts.isMail;
    this.#queue = parts.queue;
    this.#terrain = parts.terrain;
    this.#turn = parts.turn;
    this.mesh = new GossipMesh(parts, () => this.#linked);
  }

  open(peerId: string, place: { host: Host; process: SimProcess }, events: NetworkEvents): Network {
    const { process } = place;
    const station: Station = {
      ...place,
      peerId,
      events,
      ends: new Map(),
      heardMessage: 0,
      heardAt: 0,
      linked: false,
      gossips: false,
      sentBytes: 0,
    };
    process.events = events;
    place.host.process = process;
    place.host.queued = 0;
    this.stations.set(process, station);
    return {
      peerId,
      dial: (peer, signal) => this.#dial(station, peer, signal),
      hangUp: (other) => {
        const end = station.ends.get(other);
        if (end !== undefined) this.#endBoth(end);
        return this.#turn.promise(Promise.resolve());
      },
      openGossip: () => {
        station.gossips = true;
      },
      gossip: (body) => this.mesh.publish(station, body),
      send: (other, body) => {
        const end = station.ends.get(other);
        if (end === undefined) return false;
        station.sentBytes += body.byteLength + frameBytes;
        return this.#send(end, body);
      },
      close: () => {
        this.vanish(process);
        return this.#turn.promise(Promise.resolve());
      },
    };
  }

  /** The process is no more; its kernel closes what it had open. */
  vanish(process: SimProcess): void {
    const station = this.stations.get(process);
    if (station === undefined) return;
    this.stations.delete(process);
    if (station.linked) this.#linked--;
    if (station.host.process === process) station.host.process = null;
    for (const end of station.ends.values()) {
      end.open = false;
      this.#holding.delete(end);
      if (this.#terrain.passes(end.host, end.other.host)) this.reset(end.other);
    }
    station.ends.clear();
  }

  /** A path changed: what waits for it is sent at the next retransmission. */
  retry(): void {
    for (const end of [...this.#holding]) {
      const [from, to] = [end.host, end.other.host];
      if (!this.#terrain.carries(from, this.#answering(to), this.#queue.now)) continue;
      const at = retransmission(end.heldSince, this.#queue.now);
      end.process.receive(at, () => this.#flush(end));
    }
  }

  /** The other end is told that this one is no more. */
  reset(end: End): void {
    const way = this.#terrain.way(end.other.host, end.host);
    end.process.receive(this.#queue.now + way, () => this.#endOne(end));
  }

  /** Breaks one connection, as a router that lost its table does. */
  sever(a: Station, b: Station): void {
    const end = a.ends.get(b.peerId);
    if (end === undefined || end.other.station !== b) return;
    this.reset(end);
    this.reset(end.other);
  }

  /** The kernel's answer to a connection attempt. */
  knock(from: Host, address: PeerAddress, takesPlace: boolean): 'answered' | 'refused' | 'silent' {
    const host = this.#terrain.at(address.host);
    if (host === null || !this.#terrain.passesBothWays(from, host)) return 'silent';
    if (host.process === null || !host.process.alive)
      return this.#queue.now < host.listensUntil ? 'answered' : 'refused';
    if (!host.process.paused) return 'answered';
    if (host.queued > host.backlog) return 'silent';
    if (takesPlace) host.queued++;
    return 'answered';
  }

  #send(end: End, body: Uint8Array): boolean {
    this.sent++;
    if (this.#isMail(body) && this.#mails(end, body)) return true;
    const from = end.host;
    const to = this.#answering(end.other.host);
    const now = this.#queue.now;
    if (end.held.length > 0 || !this.#terrain.carries(from, to, now)) return this.#hold(end, body);
    const at = now + this.#terrain.way(from, to) + this.#terrain.repeats(from, to);
    end.arrivesAt = at > end.arrivesAt ? at : end.arrivesAt;
    if (end.other.stands) this.#queue.push(end.arrivesAt, end.other.process, kinds.direct, end.other, body);
    else this.#bounce(end);
    return true;
  }

  /** False: it must come as everything else does. */
  #mails(end: End, body: Uint8Array): boolean {
    const { other } = end;
    const at = this.#queue.now + this.#terrain.wayOfMail;
    const { host, process } = other;
    if (!other.stands || !process.isFree || !this.#terrain.isCalm(end.host, host)) return false;
    if (end.arrivesAt > at || end.held.length > 0) return false;
    end.arrivesAt = at;
    process.mail(at, other, body);
    return true;
  }

  /** Nobody is there any more: whoever has the address answers data of a connection that it does not know. */
  #bounce(end: End): void {
    if (this.#answering(end.other.host).on) this.reset(end);
  }

  /** The machine that has this machine's address now. */
  #answering(host: Host): Host {
    return host.gone ? (this.#terrain.at(host.ip) ?? host) : host;
  }

  #hold(end: End, body: Uint8Array): boolean {
    if (end.held.length === 0) {
      end.heldSince = this.#queue.now;
      this.#holding.add(end);
    }
    end.held.push(body);
    end.heldBytes += body.byteLength + frameBytes;
    if (end.heldBytes <= waitingBytesMax) return true;
    this.#endBoth(end);
    return false;
  }

  #flush(end: End): void {
    if (!end.open || !this.#holding.has(end)) return;
    const [from, to] = [end.host, this.#answering(end.other.host)];
    if (!this.#terrain.carries(from, to, this.#queue.now)) return;
    this.#holding.delete(end);
    const bodies = end.held;
    end.held = [];
    end.heldBytes = 0;
    if (!end.other.stands) return this.#bounce(end);
    for (const body of bodies) this.#send(end, body);
  }

  /** This end knows that the connection is over. */
  #endOne(end: End): void {
    if (!end.open) return;
    end.open = false;
    this.#holding.delete(end);
    end.held = [];
    const { peerId } = end.other.station;
    if (end.station.ends.get(peerId) === end) end.station.ends.delete(peerId);
    end.station.events.disconnected(peerId);
  }

  #endBoth(end: End): void {
    const passes = this.#terrain.passes(end.host, end.other.host);
    const { other } = end;
    this.#endOne(end);
    if (passes && other.open) this.reset(other);
  }

  #dial(
    station: Station,
    peer: { readonly peerId: string; readonly address: PeerAddress },
    signal: AbortSignal,
  ): Promise<void> {
    if (station.ends.has(peer.peerId)) return this.#turn.promise(Promise.resolve());
    const attempt = new Attempt(station, peer, this.#turn);
    signal.addEventListener('abort', () => attempt.fail('late', 'no answer'), { once: true });
    this.#syn(attempt, 0);
    return this.#turn.promise(attempt.done.promise);
  }

  #syn(attempt: Attempt, tries: number): void {
    const { station, peer } = attempt;
    if (attempt.over || !station.process.alive) return;
    const from = station.host;
    const host = this.#terrain.at(peer.address.host);
    const lost = host === null || this.#terrain.loses(from, host);
    const answer = lost ? 'silent' : this.knock(from, peer.address, true);
    const now = this.#queue.now;
    if (host === null || answer === 'silent') {
      const again = now + synAgainMs * 2 ** tries;
      return void station.process.receive(again, () => this.#syn(attempt, tries + 1));
    }
    const way = this.#terrain.way(from, host);
    if (answer === 'refused' || host.process === null) {
      return station.process.receive(now + 2 * way, () => attempt.fail('missing', 'refused'));
    }
    const greeted = now + (2 * handshake.trips - 1) * way + handshake.cpuMs;
    const met = this.stations.get(host.process);
    host.process.receive(greeted, () => {
      if (host.queued > 0) host.queued--;
      if (met !== undefined) void this.#meet(attempt, met);
    });
  }

  /** Noise has proven both ends to each other; now each asks its own gate. Runs in the time of the one dialled. */
  async #meet(attempt: Attempt, met: Station): Promise<void> {
    const { station, peer } = attempt;
    const answer = (act: () => void): void => {
      if (!this.#terrain.passesBothWays(met.host, station.host)) return;
      const at = this.#queue.now + this.#terrain.way(met.host, station.host);
      station.process.receive(at, act);
    };
    if (met.peerId !== peer.peerId) return answer(() => attempt.fail('invalid', 'somebody else answers'));
    const admitted = await this.#turn.asking(met.events.admit(station.peerId));
    if (!met.process.alive || !station.process.alive) return;
    if (!admitted) return answer(() => attempt.fail('denied', 'turned away'));
    this.onAdmitted(met, station);
    const stale = met.ends.get(station.peerId);
    if (stale !== undefined) {
      if (stale.other.station === station && stale.other.stands) return answer(() => attempt.succeed());
      // It lost track of us, as after a crash that the network hid: it starts afresh, and so do we.
      this.#endBoth(stale);
      return answer(() => attempt.fail('denied', 'cut'));
    }
    if (!this.#terrain.passesBothWays(met.host, station.host)) return;
    const [theirs, ours] = [new End(met, this), new End(station, this)];
    this.#join(theirs, ours);
    this.#join(ours, theirs);
    met.ends.set(station.peerId, theirs);
    const at = this.#queue.now + this.#terrain.way(met.host, station.host);
    station.process.receive(at, () => this.#connect(attempt, ours));
    // What it sends from now on comes after the news of the connection.
    theirs.arrivesAt = at;
    met.events.connected(station.peerId);
  }

  #join(end: End, other: End): void {
    const { station: peer } = other;
    Object.assign(end, { other, peer, peerId: peer.peerId });
    if (!peer.linked) this.#linked++;
    peer.linked = true;
  }

  /** The dialling end hears of the connection, unless it has another one by now. */
  #connect(attempt: Attempt, ours: End): void {
    const { station } = attempt;
    const { peerId } = ours.other.station;
    if (station.ends.has(peerId) || !ours.open) {
      ours.open = false;
      this.reset(ours.other);
      return attempt.fail('denied', 'cut');
    }
    station.ends.set(peerId, ours);
    station.events.connected(peerId);
    attempt.succeed();
  }
}

class Attempt {
  readonly station: Station;
  readonly peer: { readonly peerId: string; readonly address: PeerAddress };
  readonly done = Promise.withResolvers<void>();
  over = false;
  readonly #turn: Turn;

  constructor(station: Station, peer: Attempt['peer'], turn: Turn) {
    this.station = station;
    this.peer = peer;
    this.#turn = turn;
  }

  succeed(): void {
    if (this.over) return;
    this.over = true;
    this.#turn.note();
    this.done.resolve();
  }

  fail(kind: 'missing' | 'late' | 'invalid' | 'denied', why: string): void {
    if (this.over) return;
    this.over = true;
    this.#turn.note();
    this.done.reject(new Failure(kind, `dial ${this.peer.peerId}: ${kind}: ${why}`));
  }
}
