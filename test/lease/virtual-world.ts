/** Real time, and machines whose clocks run at their own rate, stand still, jump, and whose processes are paused. */
import { setImmediate as turn } from 'node:timers/promises';
import type { Clock } from '../../src/node/ports.ts';
import { instant, wallTime } from '../../src/std/time.ts';

type Due = { readonly at: number; readonly order: number; readonly work: () => void };

export class VirtualWorld {
  now = 0;
  #order = 0;
  /** A binary heap by (at, order). */
  readonly #heap: Due[] = [];

  after(ms: number, work: () => void): void {
    this.#order += 1;
    const due = { at: this.now + Math.max(0, ms), order: this.#order, work };
    let at = this.#heap.push(due) - 1;
    while (at > 0) {
      const up = (at - 1) >> 1;
      if (before(this.#heap[up]!, due)) break;
      this.#heap[at] = this.#heap[up]!;
      at = up;
    }
    this.#heap[at] = due;
  }

  /** Runs what falls due until `end`, and what its promises lead to; `between` after each. */
  async run(end: number, between: () => void): Promise<void> {
    for (let due = this.#heap[0]; due !== undefined && due.at <= end; due = this.#heap[0]) {
      this.#pop();
      this.now = due.at;
      due.work();
      await turn();
      between();
    }
    this.now = end;
  }

  #pop(): void {
    const last = this.#heap.pop()!;
    if (this.#heap.length === 0) return;
    let at = 0;
    for (;;) {
      let down = 2 * at + 1;
      if (down >= this.#heap.length) break;
      if (down + 1 < this.#heap.length && before(this.#heap[down + 1]!, this.#heap[down]!)) down += 1;
      if (before(last, this.#heap[down]!)) break;
      this.#heap[at] = this.#heap[down]!;
      at = down;
    }
    this.#heap[at] = last;
  }
}

const before = (a: Due, b: Due): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);

/** As a real timer it may be late, and never early; less than this is lost when it is added to the time. */
const graceMs = 1e-3;

export class Host {
  readonly clock: Clock;
  paused = false;
  dead = false;
  readonly #world: VirtualWorld;
  readonly #rate: number;
  #lostMs = 0;
  #wallMs: number;
  #standsSince: number | null = null;
  #waiting: (() => void)[] = [];

  constructor(world: VirtualWorld, { rate, wallMs }: { readonly rate: number; readonly wallMs: number }) {
    this.#world = world;
    this.#rate = rate;
    this.#wallMs = wallMs;
    this.clock = {
      now: () => instant(this.#monotonic()),
      wallNow: () => wallTime(world.now + this.#wallMs),
      wakeAt: (at, wake) => this.#wakeAt(at, wake),
    };
  }

  /** Nothing happens in the process; `suspended`: its monotonic clock stands too, as on a hibernated machine. */
  pause(ms: number, suspended: boolean): void {
    if (this.paused || this.dead) return;
    this.paused = true;
    if (suspended) this.#standsSince = this.#world.now;
    this.#world.after(ms, () => {
      if (this.#standsSince !== null) this.#lostMs += this.#world.now - this.#standsSince;
      this.#standsSince = null;
      this.paused = false;
      for (const work of this.#waiting.splice(0)) this.deliver(work);
    });
  }

  jumpWall(ms: number): void {
    this.#wallMs += ms;
  }

  kill(): void {
    this.dead = true;
  }

  /** What reaches a paused process, it finds when it goes on; what reaches a dead one is gone. */
  deliver(work: () => void): void {
    if (this.dead) return;
    if (this.paused) this.#waiting.push(work);
    else work();
  }

  #monotonic(): number {
    const real = (this.#standsSince ?? this.#world.now) - this.#lostMs;
    return 1_000 + real * this.#rate;
  }

  #wakeAt(at: number, wake: () => void): () => void {
    let armed = true;
    const fire = (): void => {
      if (!armed) return;
      if (this.#monotonic() < at) return arm();
      armed = false;
      wake();
    };
    const arm = (): void => {
      const waitMs = Math.max(0, at - this.#monotonic()) / this.#rate + graceMs;
      this.#world.after(waitMs, () => this.deliver(fire));
    };
    if (at !== Infinity) arm();
    return () => {
      armed = false;
    };
  }
}
