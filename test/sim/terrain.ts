/**
 * Machines and the paths between them: who has which address, which machine is on, and what a packet meets on its way.
 * Paths are directed: a one-way cut lets packets pass in the other direction.
 */
import type { Dice } from './dice.ts';
import type { SimProcess } from './process.ts';

/** One instance. Its kernel answers as long as it is on, whatever its processes do. */
export type Host = {
  readonly index: number;
  readonly id: string;
  readonly ip: string;
  readonly zone: string;
  on: boolean;
  /** Terminated for good: its address may go to somebody else. */
  gone: boolean;
  /** Hosts of different sides do not reach each other: the sum over all cuts that it is on the one side of. */
  side: number;
  /** What its wall clock was set ahead by, ms: it stays when the daemon starts again. */
  wallAheadMs: number;
  /** Added to each way, ms. */
  lagMs: number;
  /** Of packets, each way. */
  loss: number;
  /** Connections that its kernel completes for a process that does not accept them. */
  backlog: number;
  /** Completed by the kernel, not yet accepted. */
  queued: number;
  /** null: no process listens. */
  process: SimProcess | null;
  /** Until then its kernel has not yet closed the port of a process that was killed. */
  listensUntil: number;
};

/** One way within a zone and between zones, and how much it varies, ms. */
const wayMs = { near: 0.15, far: 0.8, jitter: 0.25 };
/** How long data still passes against a one-way cut, before unanswered acknowledgements stop the sender, ms. */
const windowMs = 300;
/** TCP's first retransmission, doubled each time. */
const retransmitMs = 200;
const retransmitMsMost = 120_000;

/** `faults`: how many keep it cut. */
type Cut = { readonly since: number; faults: number };

export class Terrain {
  readonly hosts: Host[] = [];
  /** Of all packets. */
  loss = 0;
  /** Added to every way, ms. */
  lagMs = 0;
  readonly #byIp = new Map<string, Host>();
  readonly #cuts = new Map<number, Cut>();
  readonly #dice: Dice;
  /** Faults of paths that stand; 0: nothing has to be looked up. */
  #troubles = 0;
  /** As many of them are not that a machine is off. */
  #weather = 0;

  constructor(dice: Dice) {
    this.#dice = dice;
  }

  add(host: Pick<Host, 'id' | 'ip' | 'zone' | 'backlog'>): Host {
    const added: Host = {
      ...host,
      ...{ index: this.hosts.length, on: true, gone: false, side: 0, lagMs: 0, loss: 0, queued: 0 },
      wallAheadMs: 0,
      process: null,
      listensUntil: 0,
    };
    this.hosts.push(added);
    this.#byIp.set(host.ip, added);
    return added;
  }

  /** Who answers at this address now; null: nobody. */
  at(ip: string): Host | null {
    const host = this.#byIp.get(ip);
    return host?.on === true ? host : null;
  }

  /** Whether somebody else has its address. */
  isSucceeded(host: Host): boolean {
    return host.gone && this.at(host.ip) !== null;
  }

  /** Call after a change of `on`, `side`, `lagMs`, `loss`. */
  changed(): void {
    const everywhere = this.#cuts.size + (this.loss > 0 || this.lagMs > 0 ? 1 : 0);
    this.#weather = this.hosts.filter((host) => host.side !== 0 || !isSound(host)).length + everywhere;
    this.#troubles = this.#weather + this.hosts.filter((host) => !host.on).length;
  }

  /** Until the returned function is called. */
  cut(from: Host, to: Host, now: number): () => void {
    const cut = this.#cuts.get(key(from, to)) ?? { since: now, faults: 0 };
    cut.faults++;
    this.#cuts.set(key(from, to), cut);
    this.changed();
    return () => {
      if (--cut.faults === 0) this.#cuts.delete(key(from, to));
      this.changed();
    };
  }

  /** Nothing is wrong with the path between two machines that are on, in either direction. */
  isCalm(from: Host, to: Host): boolean {
    if (this.#weather === 0) return true;
    const isWeather = this.loss > 0 || this.lagMs > 0 || this.#cuts.size > 0;
    return !isWeather && from.side === to.side && isSound(from) && isSound(to);
  }

  /** Whether a packet can get there at all. */
  passes(from: Host, to: Host): boolean {
    if (this.#troubles === 0) return true;
    return from.on && to.on && from.side === to.side && !this.#cuts.has(key(from, to));
  }

  /** Whether a handshake or an answer can be had. */
  passesBothWays(from: Host, to: Host): boolean {
    return this.passes(from, to) && this.passes(to, from);
  }

  /** Whether data on a standing connection gets there: without acknowledgements a sender soon stops. */
  carries(from: Host, to: Host, now: number): boolean {
    if (this.#troubles === 0) return true;
    if (!this.passes(from, to)) return false;
    const back = this.#cuts.get(key(to, from));
    return back === undefined || now - back.since < windowMs;
  }

  /** One way of what waits to be read, ms: the same for all, so that it is read in the order in which it came. */
  readonly wayOfMail = wayMs.far + wayMs.jitter;

  /** One way of a packet that passes, ms. */
  way(from: Host, to: Host): number {
    const base = from.zone === to.zone ? wayMs.near : wayMs.far;
    const plain = base + this.#dice.unit() * wayMs.jitter;
    return this.#troubles === 0 ? plain : plain + this.lagMs + from.lagMs + to.lagMs;
  }

  /** What losses cost a stream, which repeats what was lost, ms. */
  repeats(from: Host, to: Host): number {
    if (this.#troubles === 0) return 0;
    let waited = 0;
    for (let again = retransmitMs; this.loses(from, to) && waited < 30_000; again *= 2) waited += again;
    return waited;
  }

  /** Whether this one packet is lost. */
  loses(from: Host, to: Host): boolean {
    if (this.#troubles === 0) return false;
    return this.#dice.hits(1 - (1 - this.loss) * (1 - from.loss) * (1 - to.loss));
  }
}

const isSound = ({ lagMs, loss }: Host): boolean => lagMs === 0 && loss === 0;

const key = (from: Host, to: Host): number => from.index * 65_536 + to.index;

/** When a sender that has had no acknowledgement since `since` tries again, at the earliest at `now`. */
export function retransmission(since: number, now: number): number {
  let waited = retransmitMs;
  while (since + waited < now) waited += Math.min(waited + retransmitMs, retransmitMsMost);
  return since + waited;
}
