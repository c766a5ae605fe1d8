/**
 * What has come to processes and has not been read yet: a list for each of them, in slots that all share. Some thousand
 * wait at any moment, of the millions of a run; so whoever reads its own finds them in the processor's cache, where an
 * object for each would be anywhere in gigabytes.
 */

/** Where what was sent on a direct stream comes out. */
export type Inbound = { hear(body: Uint8Array): void };

/** The first and the last slot of one process; -1: nothing waits. */
export type Letterbox = { first: number; last: number };

export const emptyLetterbox = (): Letterbox => ({ first: -1, last: -1 });

const startingSlots = 1_024;

export class Post {
  #ats = new Float64Array(startingSlots);
  /** Of the same letterbox, or of those that are free. */
  #nexts = new Int32Array(startingSlots).fill(-1);
  #free = -1;
  #used = 0;
  readonly #tos: (Inbound | null)[] = [];
  readonly #bodies: (Uint8Array | null)[] = [];

  /** It comes no sooner than what is in the letterbox. */
  put(box: Letterbox, at: number, to: Inbound, body: Uint8Array): void {
    const slot = this.#take();
    this.#ats[slot] = at;
    this.#tos[slot] = to;
    this.#bodies[slot] = body;
    this.#nexts[slot] = -1;
    if (box.last < 0) box.first = slot;
    else this.#nexts[box.last] = slot;
    box.last = slot;
  }

  /** When the first one came; Infinity: nothing waits. */
  firstAt({ first }: Letterbox): number {
    return first < 0 ? Infinity : this.#ats[first]!;
  }

  /** The first one is handed over, and is in the letterbox no more. */
  deliver(box: Letterbox): void {
    const slot = box.first;
    const to = this.#tos[slot]!;
    const body = this.#bodies[slot]!;
    box.first = this.#nexts[slot]!;
    if (box.first < 0) box.last = -1;
    this.#tos[slot] = this.#bodies[slot] = null;
    this.#nexts[slot] = this.#free;
    this.#free = slot;
    to.hear(body);
  }

  #take(): number {
    const slot = this.#free;
    if (slot >= 0) {
      this.#free = this.#nexts[slot]!;
      return slot;
    }
    if (this.#used === this.#ats.length) this.#grow();
    return this.#used++;
  }

  #grow(): void {
    const size = 2 * this.#ats.length;
    const [ats, nexts] = [new Float64Array(size), new Int32Array(size)];
    ats.set(this.#ats);
    nexts.set(this.#nexts);
    [this.#ats, this.#nexts] = [ats, nexts];
  }
}
