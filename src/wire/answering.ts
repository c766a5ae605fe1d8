/**
 * The answering end of a line: takes the calls of one node, each with its own flow control, and hands them on. The node
 * has been told from a stranger before. A call whose answer nobody reads is broken off after a minute; the others do not
 * notice.
 */
import type { Duplex } from 'node:stream';
import type { Call } from '../node/call.ts';
import { Inflow, Outflow, windowBytes, type Taker } from './flow.ts';
import { FleetingMap } from '../std/fleeting.ts';
import { Pieces } from '../std/pieces.ts';
import { FrameReader, kinds } from './frames.ts';
import { headBytes, readOpenHead, type OpenHead } from './heads.ts';
import { Outbox } from './outbox.ts';

/** Of one line. */
const callsMax = 8_192;
/** Of all bodies that come by all lines of a node, bytes. */
const heldBytesMax = 256 * 1_024 ** 2;
/** How long an answer may lie unread, and how often that is looked at, ms. */
const stuckMs = 60_000;
const sweepMs = 5_000;

/** Bodies that come by all lines of a node. */
type Held = { bytes: number };

type LineEars = {
  readonly held: Held;
  readonly onCall: (call: Call) => void;
  /** An answer was broken off because nobody reads it. */
  readonly onStuck: () => void;
  readonly onClosed: () => void;
};

export class AnsweringLine {
  readonly #socket: Duplex;
  readonly #ears: LineEars;
  readonly #outbox: Outbox;
  readonly #reader = new FrameReader();
  readonly #calls = new FleetingMap<Answering>();
  readonly #sweeping: NodeJS.Timeout;
  #isLeaving = false;
  #isClosed = false;

  /** `begun`: what came by the socket already. */
  constructor(socket: Duplex, begun: Buffer, ears: LineEars) {
    this.#socket = socket;
    this.#ears = ears;
    this.#outbox = new Outbox(socket);
    this.#sweeping = setInterval(() => this.#sweep(), sweepMs);
    this.#sweeping.unref();
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('drain', () => this.#calls.all().forEach(({ out }) => out.drained()));
    socket.on('error', () => this.#close());
    socket.on('end', () => this.#break());
    socket.on('close', () => this.#close());
    // Read in a later turn, as all that comes: who made us does not know us yet.
    if (begun.length > 0) socket.unshift(begun);
    socket.resume();
  }

  /** Takes no new calls, and closes the connection when those of now are over. */
  leave(): void {
    if (this.#isLeaving || this.#isClosed) return;
    this.#isLeaving = true;
    this.#outbox.frame(kinds.leave, 0, null);
    if (this.#calls.size === 0) this.#outbox.end();
  }

  #read(chunk: Buffer): void {
    const isClean = this.#reader.read(chunk, (kind, number, body) => this.#hear(kind, number, body));
    if (!isClean) this.#break();
  }

  #hear(kind: number, number: number, body: Buffer): void {
    if (this.#isClosed) return;
    if (kind === kinds.ping) return this.#outbox.frame(kinds.pong, 0, null);
    if (kind === kinds.open) return this.#open(number, body);
    // What is unknown was over before who asks heard of it.
    const call = this.#calls.get(number);
    if (call === undefined) return;
    switch (kind) {
      case kinds.data:
        if (!call.in.hear(body)) this.#break();
        return;
      case kinds.end:
        return call.in.end();
      case kinds.reset:
        return call.close();
      case kinds.credit:
        if (body.length === 4) call.out.grant(body.readUInt32BE(0));
    }
  }

  #open(number: number, body: Buffer): void {
    const head = readOpenHead(body);
    if (head === null || this.#calls.get(number) !== undefined) return this.#break();
    if (this.#isLeaving || this.#calls.size >= callsMax)
      return this.#outbox.frame(kinds.reset, number, Buffer.from(this.#isLeaving ? 'leaving' : 'full'));
    const call = new Answering(number, head, {
      ...{ outbox: this.#outbox, held: this.#ears.held },
      over: () => this.#over(number),
    });
    this.#calls.set(number, call);
    this.#ears.onCall(call);
  }

  #over(number: number): void {
    this.#calls.delete(number);
    if (this.#isLeaving && this.#calls.size === 0 && !this.#isClosed) this.#outbox.end();
  }

  #sweep(): void {
    const stuckBefore = performance.now() - stuckMs;
    for (const call of this.#calls.all()) {
      if (!call.out.isStuck || call.out.movedAt > stuckBefore) continue;
      this.#ears.onStuck();
      call.destroy();
    }
  }

  /** Nobody is there any more, or what was sent is not understood and nothing after it would be. */
  #break(): void {
    this.#socket.destroy();
    this.#close();
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#sweeping);
    for (const call of this.#calls.all()) call.close();
    this.#ears.onClosed();
  }
}

class Answering implements Call, Taker {
  readonly method: string;
  readonly path: string;
  readonly headers: OpenHead['headers'];
  readonly out: Outflow;
  readonly in: Inflow;
  isAnswered = false;
  isOver = false;
  readonly #number: number;
  readonly #outbox: Outbox;
  readonly #held: Held;
  readonly #over: () => void;
  /** Of a body that nobody has asked for. */
  #bytesMax = windowBytes;
  #bytes = 0;
  readonly #parts = new Pieces();
  readonly #body = Promise.withResolvers<Buffer | null>();
  #closed = (): void => {};

  constructor(
    number: number,
    { method, path, headers }: OpenHead,
    line: { readonly outbox: Outbox; readonly held: Held; readonly over: () => void },
  ) {
    this.method = method;
    this.path = path;
    this.headers = headers;
    this.#number = number;
    this.#outbox = line.outbox;
    this.#held = line.held;
    this.#over = line.over;
    this.out = new Outflow(line.outbox, number);
    this.in = new Inflow(line.outbox, number, this);
  }

  body(bytesMax: number): Promise<Buffer | null> {
    this.#bytesMax = bytesMax;
    return this.#body.promise;
  }

  take(part: Buffer): void {
    this.#bytes += part.length;
    this.#held.bytes += part.length;
    this.#parts.add(part);
    if (this.#bytes > this.#bytesMax || this.#held.bytes > heldBytesMax) this.destroy();
  }

  ended(): void {
    this.#settle(this.#parts.all());
  }

  answer(status: number, headers: Readonly<Record<string, string>>): void {
    if (this.isOver || this.isAnswered) return;
    this.isAnswered = true;
    this.#outbox.frame(kinds.head, this.#number, headBytes({ status, headers }));
  }

  write(part: Uint8Array): boolean {
    return this.out.write(part);
  }

  /** What still waits for credit goes out before the end. */
  end(): void {
    if (this.isOver) return;
    this.out.onEnded = () => this.close();
    this.out.end();
  }

  destroy(): void {
    if (this.isOver) return;
    this.#outbox.frame(kinds.reset, this.#number, null);
    this.close();
  }

  onDrain(listener: () => void): void {
    this.out.onDrain = listener;
  }

  onClose(listener: () => void): void {
    this.#closed = listener;
  }

  close(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.out.stop();
    this.#settle(null);
    this.#over();
    this.#closed();
  }

  #settle(body: Buffer | null): void {
    this.#held.bytes -= this.#bytes;
    this.#bytes = 0;
    this.#parts.clear();
    this.#body.resolve(body);
  }
}
