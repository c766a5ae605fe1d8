/**
 * One life of one daemon as its operating system sees it: its clocks, and the CPU that it gets. Everything that reaches
 * its code comes through `fire`.
 *
 * Paused (SIGSTOP): nothing runs; when it goes on, all timers that fell due run before anything that was received, as
 * in Node's event loop. Slow: each event takes `costMs` and the next one waits for it. Killed: nothing, ever again.
 */
import { instant, wallTime, type Instant } from '../../src/std/time.ts';
import type { Clock } from '../../src/node/ports.ts';
import type { NetworkEvents } from '../../src/node/ports.ts';
import type { Digest } from './digest.ts';
import { emptyLetterbox, type Inbound } from './post.ts';
import type { EventQueue, Target } from './queue.ts';

/** What `fire` understands. `call` is for whatever happens too rarely to be worth a kind. */
export const kinds = { timer: 0, direct: 1, gossip: 2, call: 3 } as const;
/** Has had its turn at a slow CPU already. */
const served = 8;

type Timer = { wake: (() => void) | null };

/** Below a nanosecond of rounding, a timer would come before its own instant. */
const roundingMs = 1e-6;

export type Drift = {
  /** Seconds of its monotonic clock in a true second. */
  readonly rate: number;
  /** Its wall clock minus the true one, ms. */
  wallOffsetMs: number;
};

export class SimProcess implements Target, Clock {
  readonly index: number;
  alive = true;
  /** CPU time of one event, ms; 0: no time at all. */
  costMs = 0;
  events: NetworkEvents | null = null;
  readonly #queue: EventQueue;
  readonly #digest: Digest;
  readonly #drift: Drift;
  readonly #bootAt: number;
  #busyUntil = 0;
  /** Those that stopped it and have not let it go on. */
  #stops = 0;
  /** What came and has not been read yet. */
  readonly #letterbox = emptyLetterbox();
  /** While mail is read: when it came. */
  #readingAt: number | null = null;
  #timers: unknown[][] = [];
  #received: unknown[][] = [];

  constructor(index: number, parts: { queue: EventQueue; digest: Digest; drift: Drift }) {
    this.index = index;
    this.#queue = parts.queue;
    this.#digest = parts.digest;
    this.#drift = parts.drift;
    this.#bootAt = parts.queue.now;
  }

  now = (): Instant => instant(((this.#readingAt ?? this.#queue.now) - this.#bootAt) * this.#drift.rate);

  wallNow = () => wallTime(Math.round(trueWall(this.#queue.now) + this.#drift.wallOffsetMs));

  wakeAt = (at: Instant, wake: () => void): (() => void) => {
    const timer: Timer = { wake };
    const due = this.#bootAt + at / this.#drift.rate + roundingMs;
    if (due !== Infinity) this.#queue.push(due, this, kinds.timer, timer, null);
    return () => {
      timer.wake = null;
    };
  };

  /** Something that its kernel hands it. */
  receive(at: number, act: () => void): void {
    this.#queue.push(at, this, kinds.call, act, null);
  }

  get paused(): boolean {
    return this.#stops > 0;
  }

  /** It would read what comes now at once. */
  get isFree(): boolean {
    return !this.paused && this.costMs === 0;
  }

  /**
   * Something that says no more than that its sender lives. It is read before whatever happens to this process next, and
   * by the clock as of its coming: the process cannot tell, and a thousand nodes that each hear thirty beats a second are
   * woken as seldom as their own timers want.
   */
  mail(at: number, to: Inbound, body: Uint8Array): void {
    this.#queue.post.put(this.#letterbox, at, to, body);
  }

  fire(kind: number, x: unknown, y: unknown): void {
    if (!this.alive) return;
    if (kind === kinds.timer && (x as Timer).wake === null) return;
    if (this.paused) {
      (kind % served === kinds.timer ? this.#timers : this.#received).push([kind, x, y]);
      return;
    }
    if (this.costMs > 0 && kind < served && !this.#takesCpu(kind, x, y)) return;
    this.#run(kind % served, x, y);
  }

  jumpWall(ms: number): void {
    this.#drift.wallOffsetMs += ms;
  }

  pause(): void {
    this.#stops++;
  }

  /** Once for each `pause`. */
  resume(): void {
    if (--this.#stops > 0) return;
    const waiting = [...this.#timers, ...this.#received];
    this.#timers = [];
    this.#received = [];
    for (const [kind, x, y] of waiting) this.#queue.push(this.#queue.now, this, kind as number, x, y);
  }

  #takesCpu(kind: number, x: unknown, y: unknown): boolean {
    const start = Math.max(this.#queue.now, this.#busyUntil);
    this.#busyUntil = start + this.costMs;
    if (start <= this.#queue.now) return true;
    this.#queue.push(start, this, kind + served, x, y);
    return false;
  }

  #readMail(): void {
    const { now, post } = this.#queue;
    for (let at = post.firstAt(this.#letterbox); at <= now; at = post.firstAt(this.#letterbox)) {
      this.#readingAt = at;
      this.#digest.step(at, this.index, kinds.direct);
      this.#queue.steps++;
      post.deliver(this.#letterbox);
    }
    this.#readingAt = null;
  }

  #run(kind: number, x: unknown, y: unknown): void {
    if (this.#letterbox.first >= 0) this.#readMail();
    this.#digest.step(this.#queue.now, this.index, kind);
    switch (kind) {
      case kinds.timer: {
        const timer = x as Timer;
        const { wake } = timer;
        timer.wake = null;
        return wake?.();
      }
      case kinds.direct:
        return (x as Inbound).hear(y as Uint8Array);
      case kinds.gossip:
        return this.events?.message(x as string, y as Uint8Array, 'gossip');
      default:
        return (x as () => void)();
    }
  }
}

/** The run begins at a time that looks like one. */
export const trueWall = (nowMs: number): number => 1_795_000_000_000 + nowMs;
