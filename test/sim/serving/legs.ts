/**
 * How an entry node asks an engine: its own by the Unix socket, another node's by a connection to that node's listener,
 * kept for the next request when an answer is complete. What undici and TLS do in a daemon, without bytes; and as there,
 * what is asked by a connection that turns out to be gone, after it had said nothing for a while, is asked by a new one.
 */
import { faultOf, type Leg, type LegEars, type LegNews, type OpenLeg } from '../../../src/node/leg.ts';
import type { MemberId } from '../../../src/std/member-id.ts';
import { readItem } from '../../../src/stream/chunk.ts';
import type { LegRequest } from '../../../src/stream/continuation.ts';
import { quietMs } from '../../../src/wire/asking.ts';
import type { SimEngine, Reply } from './engine.ts';
import type { Place, Wire, Wires } from './wires.ts';

/** As the pools of a daemon have them. */
const connectMs = 1_000;
const keepAliveMs = 60_000;
/** As both ends of a daemon's connections have it: of what is asked of a host that went dark nobody else would ever hear the end. */
export const aliveMs = 30_000;

export type LegPorts = {
  readonly wires: Wires;
  readonly now: () => number;
  readonly engine: () => SimEngine | null;
  /** Where a member's listener is, and what takes a connection there; null: nobody of that id ever was. */
  readonly listener: (member: MemberId) => Listener | null;
};

export type Listener = { readonly place: Place; accept(wire: Wire): void };

type Idle = { readonly wire: Wire; readonly since: number };

export function legsOf(place: Place, self: MemberId, ports: LegPorts): OpenLeg {
  const idle = new Map<MemberId, Idle[]>();

  function connect(member: MemberId, leg: OneLeg): void {
    if (member === self) return connectEngine(place, ports, leg);
    const kept = reuse(member);
    if (kept === null) return dial(member, leg);
    const isQuiet = ports.now() - kept.since >= quietMs;
    leg.run(kept.wire, isQuiet ? () => dial(member, leg) : null);
  }

  function dial(member: MemberId, leg: OneLeg): void {
    const listener = ports.listener(member);
    const late = (): void => leg.fail({ type: 'unreached', why: 'connect timeout', fault: 'member' });
    place.process.receive(ports.now() + connectMs, late);
    if (listener === null) return;
    ports.wires.dial(place, listener.place, {
      met: (theirs) => listener.accept(theirs),
      done: (ours) => {
        if (ours === null) return leg.fail({ type: 'unreached', why: 'refused', fault: 'member' });
        ours.keepAlive(aliveMs);
        leg.run(ours, null);
      },
    });
  }

  function reuse(member: MemberId): Idle | null {
    const kept = idle.get(member) ?? [];
    for (let last = kept.pop(); last !== undefined; last = kept.pop()) {
      if (last.wire.open && last.since + keepAliveMs > ports.now()) return last;
      last.wire.abort();
    }
    return null;
  }

  function keep(member: MemberId, wire: Wire): void {
    wire.ears = { heard: () => wire.abort(), lost: () => {} };
    const kept = idle.get(member) ?? [];
    kept.push({ wire, since: ports.now() });
    idle.set(member, kept);
  }

  return ({ member }, request, ears) => {
    const leg = new OneLeg(request, ears, (wire) => (member === self ? wire.abort() : keep(member, wire)));
    connect(member, leg);
    return leg;
  };
}

/** Whose daemon asks, or relays for another. */
export function connectEngine(
  place: Place,
  { wires, engine, now }: Pick<LegPorts, 'wires' | 'engine' | 'now'>,
  leg: { run(wire: Wire, again: null): void; fail(news: LegNews): void },
): void {
  place.process.receive(now(), () => {
    const asked = engine();
    if (asked?.listens !== true) return leg.fail({ type: 'unreached', why: 'ECONNREFUSED', fault: 'member' });
    const ours = wires.join(place, asked.place);
    asked.accept(ours.other);
    leg.run(ours, null);
  });
}

class OneLeg implements Leg {
  readonly #request: LegRequest;
  readonly #ears: LegEars;
  readonly #done: (wire: Wire) => void;
  #wire: Wire | null = null;
  /** Asks by a new connection; null: this one was new, or something was heard by it. */
  #again: (() => void) | null = null;
  #over = false;

  constructor(request: LegRequest, ears: LegEars, done: (wire: Wire) => void) {
    this.#request = request;
    this.#ears = ears;
    this.#done = done;
  }

  run(wire: Wire, again: (() => void) | null): void {
    if (this.#over) return wire.abort();
    this.#wire = wire;
    this.#again = again;
    wire.ears = {
      heard: (message) => this.#hear(message as Reply),
      lost: () => this.#lose(),
    };
    wire.send({ type: 'request', request: this.#request });
  }

  abort(): void {
    if (this.#over) return;
    this.#over = true;
    this.#wire?.abort();
  }

  /** Nothing to say any more when it is over; a connection attempt that is given up has its own end. */
  fail(news: LegNews): void {
    if (this.#over || (news.type === 'unreached' && this.#wire !== null)) return;
    this.#over = true;
    this.#ears.news(news);
  }

  #lose(): void {
    if (this.#again === null) return this.fail({ type: 'ended', cause: 'reset', why: 'ECONNRESET' });
    this.#wire = null;
    if (!this.#over) this.#again();
  }

  #hear(reply: Reply): void {
    if (this.#over) return;
    this.#again = null;
    switch (reply.type) {
      case 'head':
        if (reply.load !== null) this.#ears.load(reply.load);
        return this.#ears.news({ type: 'answered' });
      case 'event':
        return this.#ears.news({ type: 'item', item: readItem(reply.data) });
      case 'end':
        return this.#end({ type: 'ended', cause: 'eof', why: 'end of stream' });
      case 'whole': {
        if (reply.load !== null) this.#ears.load(reply.load);
        const { status, body, refused } = reply;
        if (refused !== null) return this.#end({ type: 'unreached', why: refused, fault: faultOf(refused) });
        return this.#end({ type: 'answer', status, body });
      }
    }
  }

  #end(news: LegNews): void {
    this.#over = true;
    if (this.#wire !== null) this.#done(this.#wire);
    this.#ears.news(news);
  }
}
