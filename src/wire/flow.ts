/**
 * Flow control of one call in one direction. Who sends has a credit of bytes and waits where it is used up; who receives
 * gives credit as it gets rid of what came. So a call whose reader stands still costs its two nodes a window each, and
 * no other call on the connection waits for it.
 */
import { frameBytesMax, kinds } from './frames.ts';
import type { Outbox } from './outbox.ts';

/** Credit that a call begins with, both ways: a burst of a thousand tokens. It belongs to the version of the frames. */
export const windowBytes = 256 * 1_024;

export class Outflow {
  readonly #outbox: Outbox;
  readonly #call: number;
  #credit = windowBytes;
  #waiting: Uint8Array[] = [];
  #ends = false;
  #isOver = false;
  /** When something last moved, or nothing waited. */
  movedAt = 0;
  /** After a `write` that was told to wait. */
  onDrain = (): void => {};
  /** When the last of it has left. */
  onEnded = (): void => {};
  #owesDrain = false;

  constructor(outbox: Outbox, call: number) {
    this.#outbox = outbox;
    this.#call = call;
  }

  get isStuck(): boolean {
    return this.#owesDrain;
  }

  /** False: write no more before `onDrain`; what is written all the same is kept. */
  write(part: Uint8Array): boolean {
    if (this.#isOver) return true;
    if (!this.#owesDrain) this.movedAt = performance.now();
    if (this.#waiting.length === 0 && part.length <= this.#credit) this.#send(part);
    else {
      // As much as may go goes: the other end gives credit for what it has, and not for what we keep.
      this.#waiting.push(part);
      this.#sendWaiting();
    }
    this.#owesDrain = this.#waiting.length > 0 || this.#outbox.isCrowded;
    return !this.#owesDrain;
  }

  end(): void {
    this.#ends = true;
    this.#goOn();
  }

  /** Nothing is sent any more. */
  stop(): void {
    this.#isOver = true;
    this.#waiting = [];
  }

  grant(bytes: number): void {
    this.#credit += bytes;
    this.#goOn();
  }

  /** The connection has room again. */
  drained(): void {
    if (this.#owesDrain) this.#goOn();
  }

  #goOn(): void {
    if (this.#isOver) return;
    this.#sendWaiting();
    if (this.#waiting.length > 0) return;
    if (this.#ends) {
      this.#isOver = true;
      this.#outbox.frame(kinds.end, this.#call, null);
      return this.onEnded();
    }
    if (!this.#owesDrain || this.#outbox.isCrowded) return;
    this.#owesDrain = false;
    this.onDrain();
  }

  #sendWaiting(): void {
    while (this.#waiting.length > 0 && this.#credit > 0) {
      const [part] = this.#waiting as [Uint8Array];
      const fits = part.subarray(0, this.#credit);
      if (fits.length === part.length) this.#waiting.shift();
      else this.#waiting[0] = part.subarray(fits.length);
      this.#send(fits);
    }
  }

  #send(part: Uint8Array): void {
    this.#credit -= part.length;
    this.movedAt = performance.now();
    for (let at = 0; at < part.length; at += frameBytesMax)
      this.#outbox.frame(kinds.data, this.#call, part.subarray(at, at + frameBytesMax));
  }
}

export type Taker = { take(part: Buffer): void; ended(): void };

export class Inflow {
  readonly #outbox: Outbox;
  readonly #call: number;
  readonly #taker: Taker;
  /** Of the sender, as far as it can know. */
  #credit = windowBytes;
  #taken = 0;
  #kept: Buffer[] = [];
  #isPaused = false;
  #hasEnded = false;

  constructor(outbox: Outbox, call: number, taker: Taker) {
    this.#outbox = outbox;
    this.#call = call;
    this.#taker = taker;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** All of it has come, though it may not have been taken. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** False: more than was allowed. */
  hear(part: Buffer): boolean {
    // Costs no credit, and must cost no memory.
    if (part.length === 0) return true;
    this.#credit -= part.length;
    if (this.#credit < 0) return false;
    if (this.#isPaused) this.#kept.push(part);
    else this.#take(part);
    return true;
  }

  end(): void {
    this.#hasEnded = true;
    if (!this.#isPaused) this.#taker.ended();
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    while (this.#kept.length > 0 && !this.isPaused) this.#take(this.#kept.shift()!);
    if (this.#hasEnded && !this.isPaused) this.#taker.ended();
  }

  #take(part: Buffer): void {
    this.#taken += part.length;
    if (this.#taken >= windowBytes / 2 && !this.#hasEnded) {
      this.#outbox.credit(this.#call, this.#taken);
      this.#credit += this.#taken;
      this.#taken = 0;
    }
    this.#taker.take(part);
  }
}
