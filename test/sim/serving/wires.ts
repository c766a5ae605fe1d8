/**
 * TCP for requests: between a node and another, and between a daemon and the engine beside it (a Unix socket: always
 * there, and no distance). A connection keeps its order and loses nothing while it stands; what cannot pass waits for a
 * retransmission. A process that ends closes what it had open if the news can travel, and leaves it half open if it
 * cannot: then the next data is answered by a reset, once it gets through.
 */
import type { Dice } from '../dice.ts';
import type { SimProcess } from '../process.ts';
import type { EventQueue } from '../queue.ts';
import { retransmission, type Host, type Terrain } from '../terrain.ts';

/** A process, and the machine it runs on. */
export type Place = { readonly host: Host; readonly process: SimProcess };

/** A Unix socket and the wake-up behind it, ms. */
const localMs = 0.05;
/** TCP and TLS 1.3 before the first byte of a request: round trips, and CPU of both ends together, ms. */
const handshake = { trips: 2, cpuMs: 12 };

/** After the first probe of a silent connection that nobody answers, ms: ten, one a second. */
const unansweredMs = 10_000;

export type Ears = {
  heard(message: unknown): void;
  /** The other end is gone: it closed, or its process ended. */
  lost(): void;
};

export class Wire {
  readonly place: Place;
  /** Set once, when the pair is made. */
  other!: Wire;
  open = true;
  ears: Ears = { heard: () => {}, lost: () => {} };
  /** Nothing that this end sent arrives before this. */
  arrivesAt = 0;
  held: unknown[] = [];
  heldSince = 0;
  /** On its way, in order. */
  #inbox: unknown[] = [];
  readonly #wires: Wires;

  constructor(place: Place, wires: Wires) {
    this.place = place;
    this.#wires = wires;
  }

  send(message: unknown): void {
    if (this.open) this.#wires.carry(this, message);
  }

  /** At once, whatever is on its way. */
  abort(): void {
    if (!this.open) return;
    this.#wires.forget(this);
    this.#wires.reset(this.other);
  }

  /** Its kernel asks, after so much silence, whether the other end is there (TCP keepalive). */
  keepAlive(silenceMs: number): void {
    this.#probeAfter(silenceMs, () => {
      if (this.#wires.probe(this)) return this.keepAlive(silenceMs);
      this.#probeAfter(unansweredMs, () => {
        if (this.#wires.probe(this)) this.keepAlive(silenceMs);
        else this.lose();
      });
    });
  }

  #probeAfter(ms: number, probe: () => void): void {
    this.place.process.receive(this.#wires.now + ms, () => {
      if (this.open) probe();
    });
  }

  /** What comes next; a process that is slow for a while may be woken for it out of turn. */
  hear(): void {
    const message = this.#inbox.shift();
    if (this.open) this.ears.heard(message);
    else this.#wires.reset(this.other);
  }

  receive(message: unknown, at: number): void {
    this.#inbox.push(message);
    this.place.process.receive(at, () => this.hear());
  }

  lose(): void {
    if (!this.open) return;
    this.#wires.forget(this);
    this.ears.lost();
  }
}

export class Wires {
  readonly #queue: EventQueue;
  readonly #terrain: Terrain;
  readonly #dice: Dice;
  readonly #standing = new Map<SimProcess, Set<Wire>>();
  /** Ends with something that could not be sent. */
  readonly #holding = new Set<Wire>();

  constructor(parts: { queue: EventQueue; terrain: Terrain; dice: Dice }) {
    this.#queue = parts.queue;
    this.#terrain = parts.terrain;
    this.#dice = parts.dice;
  }

  get now(): number {
    return this.#queue.now;
  }

  /** A connection that stands, at both ends: what `greet` and a Unix socket end in. */
  join(a: Place, b: Place): Wire {
    const [ours, theirs] = [new Wire(a, this), new Wire(b, this)];
    ours.other = theirs;
    theirs.other = ours;
    for (const end of [ours, theirs]) {
      const ends = this.#standing.get(end.place.process) ?? new Set();
      this.#standing.set(end.place.process, ends.add(end));
    }
    return ours;
  }

  /**
   * Dials another node. `met` is called with its end in the time of the one that is dialled, `done` with ours in the
   * time of the one that dials; null: refused.
   */
  dial(from: Place, to: Place, tell: { met(theirs: Wire): void; done(ours: Wire | null): void }): void {
    const { now } = this.#queue;
    if (!this.#terrain.passesBothWays(from.host, to.host) || this.#terrain.loses(from.host, to.host)) return;
    const way = (): number => this.#terrain.way(from.host, to.host);
    if (!to.process.alive) return from.process.receive(now + 2 * way(), () => tell.done(null));
    const greeted = now + (2 * handshake.trips - 1) * way() + handshake.cpuMs;
    to.process.receive(greeted, () => {
      if (!from.process.alive || !this.#terrain.passesBothWays(from.host, to.host)) return;
      const ours = this.join(from, to);
      ours.other.arrivesAt = this.#queue.now + way();
      from.process.receive(ours.other.arrivesAt, () => tell.done(ours));
      tell.met(ours.other);
    });
  }

  /** The process is no more; its kernel closes what it had open. */
  vanish(process: SimProcess): void {
    const ends = this.#standing.get(process) ?? [];
    this.#standing.delete(process);
    for (const end of ends) {
      this.forget(end);
      this.reset(end.other);
    }
  }

  /** A path changed: what waits for it is sent at the next retransmission. */
  retry(): void {
    const { now } = this.#queue;
    for (const end of [...this.#holding]) {
      if (!this.#passes(end)) continue;
      end.place.process.receive(retransmission(end.heldSince, now), () => this.#flush(end));
    }
  }

  carry(end: Wire, message: unknown): void {
    const { now } = this.#queue;
    const [from, to] = [end.place, end.other.place];
    if (end.held.length > 0 || !this.#passes(end)) {
      if (end.held.length === 0) end.heldSince = now;
      this.#holding.add(end);
      end.held.push(message);
      return;
    }
    const isLocal = from.host === to.host;
    const trip = isLocal
      ? localMs * (1 + this.#dice.unit())
      : this.#terrain.way(from.host, to.host) + this.#terrain.repeats(from.host, to.host);
    end.arrivesAt = Math.max(end.arrivesAt, now + trip);
    if (to.process.alive) end.other.receive(message, end.arrivesAt);
    else if (to.host.on) this.reset(end);
  }

  /** Who has forgotten the connection answers by a reset; false: nobody answers. */
  probe(end: Wire): boolean {
    const { place: to, open } = end.other;
    if (!to.host.on || !this.#passes(end)) return false;
    if (!open || !to.process.alive) this.reset(end);
    return true;
  }

  /** This end is told that the other is no more, if it can be told. */
  reset(end: Wire): void {
    const [from, to] = [end.other.place.host, end.place.host];
    const isLocal = from === to;
    if (!isLocal && !this.#terrain.passes(from, to)) return;
    const trip = isLocal ? localMs : this.#terrain.way(from, to);
    end.place.process.receive(this.#queue.now + trip, () => end.lose());
  }

  /** Nothing goes in or out here any more. */
  forget(end: Wire): void {
    end.open = false;
    this.#drop(end);
    this.#standing.get(end.place.process)?.delete(end);
  }

  #drop(end: Wire): void {
    end.held = [];
    this.#holding.delete(end);
  }

  #passes({ place, other }: Wire): boolean {
    if (place.host === other.place.host) return true;
    return this.#terrain.carries(place.host, other.place.host, this.#queue.now);
  }

  #flush(end: Wire): void {
    if (!this.#holding.has(end) || !this.#passes(end)) return;
    const messages = end.held;
    this.#drop(end);
    for (const message of messages) this.carry(end, message);
  }
}
