/**
 * What leaves by one connection: all frames of one turn of the event loop in one write, which is one system call and,
 * below 16 KB, one TLS record. Engines tell the tokens of all their streams in one turn, so a node that serves many
 * streams to one entry node pays for one.
 */
import type { Duplex } from 'node:stream';
import { FrameWriter } from './frames.ts';

/** Goes out in the middle of a turn, bytes. */
const fullBytes = 256 * 1_024;
/** Unsent, bytes: above it everybody who sends is asked to wait. */
const crowdedBytes = 4 * 1_024 ** 2;
/** Unsent, bytes: nobody reads at the other end, and not all that is said waits for credit. */
const floodedBytes = 128 * 1_024 ** 2;

export class Outbox {
  readonly #socket: Duplex;
  readonly #frames = new FrameWriter();
  #isArmed = false;

  constructor(socket: Duplex) {
    this.#socket = socket;
  }

  get isCrowded(): boolean {
    return this.#socket.writableLength > crowdedBytes;
  }

  frame(kind: number, call: number, body: Uint8Array | null): void {
    this.#frames.frame(kind, call, body);
    this.#arm();
  }

  credit(call: number, bytes: number): void {
    this.#frames.credit(call, bytes);
    this.#arm();
  }

  flush(): void {
    if (this.#frames.length > 0 && this.#socket.writable) this.#socket.write(this.#frames.take());
    if (this.#socket.writableLength > floodedBytes) this.#socket.destroy();
  }

  /** After what is gathered. */
  end(): void {
    this.flush();
    this.#socket.end();
  }

  #arm(): void {
    if (this.#frames.length > fullBytes) return this.flush();
    if (this.#isArmed) return;
    this.#isArmed = true;
    // Not the next tick: that would come after each socket that was read, and the turn may read a hundred.
    setImmediate(() => {
      this.#isArmed = false;
      this.flush();
    });
  }
}
