/**
 * What happens next, under virtual time: a 4-ary heap on typed arrays, ordered by (time, order of arrival), over slots
 * that are used again. An event is a target, a kind and two values, so that the millions of beats of a run cost no
 * closure each. Nothing is taken out of the middle: who withdraws an event makes it harmless instead.
 */
import { Post } from './post.ts';

export type Target = { fire(kind: number, x: unknown, y: unknown): void };

const startingSlots = 1_024;

export class EventQueue {
  /** Virtual milliseconds since the run began. */
  now = 0;
  /** Events that have been fired. */
  steps = 0;
  /** What comes without being an event. */
  readonly post = new Post();

  #size = 0;
  #order = 0;
  #times = new Float64Array(startingSlots);
  #orders = new Float64Array(startingSlots);
  /** Heap position to slot. */
  #heap = new Int32Array(startingSlots);
  #free: number[] = [];
  #used = 0;
  readonly #targets: (Target | null)[] = [];
  readonly #kinds: number[] = [];
  readonly #xs: unknown[] = [];
  readonly #ys: unknown[] = [];

  get size(): number {
    return this.#size;
  }

  /** An event in the past happens now. */
  push(at: number, target: Target, kind: number, x: unknown, y: unknown): void {
    const slot = this.#free.pop() ?? this.#used++;
    this.#targets[slot] = target;
    this.#kinds[slot] = kind;
    this.#xs[slot] = x;
    this.#ys[slot] = y;
    if (this.#used > this.#times.length) this.#grow();
    this.#times[slot] = at < this.now ? this.now : at;
    this.#orders[slot] = this.#order++;
    this.#rise(this.#size++, slot);
  }

  nextAt(): number {
    return this.#size === 0 ? Infinity : this.#times[this.#heap[0]!]!;
  }

  /** Fires the next event; false when none is left. */
  step(): boolean {
    if (this.#size === 0) return false;
    const slot = this.#heap[0]!;
    const last = this.#heap[--this.#size]!;
    if (this.#size > 0) this.#sink(last);
    const target = this.#targets[slot]!;
    const kind = this.#kinds[slot]!;
    const x = this.#xs[slot];
    const y = this.#ys[slot];
    this.#targets[slot] = this.#xs[slot] = this.#ys[slot] = null;
    this.#free.push(slot);
    this.now = this.#times[slot]!;
    this.steps++;
    target.fire(kind, x, y);
    return true;
  }

  #isBefore(a: number, b: number): boolean {
    const at = this.#times[a]!;
    const bt = this.#times[b]!;
    return at < bt || (at === bt && this.#orders[a]! < this.#orders[b]!);
  }

  #rise(from: number, slot: number): void {
    const heap = this.#heap;
    const times = this.#times;
    const time = times[slot]!;
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 2;
      const above = heap[parent]!;
      // What is pushed comes after all that was.
      if (times[above]! <= time) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = slot;
  }

  #sink(slot: number): void {
    const heap = this.#heap;
    const times = this.#times;
    const size = this.#size;
    const time = times[slot]!;
    let at = 0;
    for (;;) {
      const first = 4 * at + 1;
      if (first >= size) break;
      const end = first + 4 < size ? first + 4 : size;
      let least = first;
      let next = heap[first]!;
      let soonest = times[next]!;
      for (let child = first + 1; child < end; child++) {
        const one = heap[child]!;
        const its = times[one]!;
        if (its < soonest || (its === soonest && this.#isBefore(one, next))) {
          least = child;
          next = one;
          soonest = its;
        }
      }
      if (soonest > time || (soonest === time && this.#isBefore(slot, next))) break;
      heap[at] = next;
      at = least;
    }
    heap[at] = slot;
  }

  #grow(): void {
    const wider = <T extends Float64Array | Int32Array>(old: T, made: T): T => {
      made.set(old);
      return made;
    };
    const size = 2 * this.#times.length;
    this.#times = wider(this.#times, new Float64Array(size));
    this.#orders = wider(this.#orders, new Float64Array(size));
    this.#heap = wider(this.#heap, new Int32Array(size));
  }
}
