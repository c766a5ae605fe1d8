/**
 * The asking end of a line: a connection to one node over which many calls are asked at once, each told to its handler
 * as undici would tell it, so that who asks need not know by what it goes.
 *
 * A connection that breaks loses all of its calls at that moment. Silence is the matter of each call, with one exception:
 * who asks something of a node that has said nothing for a while wants to know within a second whether anybody is there,
 * as the handshake of a new connection would tell. Calls that have not been answered then are lost; those that have
 * begun are judged by their own rhythm, and the line takes no new ones.
 *
 * A host that lost its power, or was cut off for long, has forgotten its end of a line without a word to us: the next
 * call is answered by a reset, and says nothing of who is there now. A call that was asked after such a silence, and with
 * whose connection nothing more was heard, is therefore given back instead of lost where it may be asked twice
 * (`idempotent`, as undici calls it). What was asked of a line that had just spoken is lost with it, so that a call that
 * ends whoever takes it is given back once a member at most.
 */
import type { Duplex } from 'node:stream';
import type { Dispatcher } from 'undici';
import { Failure } from '../std/failure.ts';
import { FleetingMap } from '../std/fleeting.ts';
import { Inflow, Outflow, type Taker } from './flow.ts';
import { FrameReader, kinds } from './frames.ts';
import { headBytes, readAnswerHead } from './heads.ts';
import { Outbox } from './outbox.ts';

/** Of one line: what a node takes of others at once, and some. */
const callsMax = 8_192;
/** Numbers of calls are 32 bits, and none is used twice. */
const numberMax = 2 ** 32 - 1;
/** A line that heard nothing for so long is asked for a sign of life along with the next call, which it owes within… ms */
export const quietMs = 500;
const signMs = 1_000;
/** A line without calls is kept, since a new one costs both ends 12 CPU-ms together. ms */
const idleMs = 60_000;
/** How often what is overdue is looked for, ms. */
const sweepMs = 1_000;

/** What was asked, and who is told. */
type Call = readonly [Dispatcher.DispatchOptions, Dispatcher.DispatchHandler];

/** Whoever passes the answer on would have no status to begin with. */
const headless = new Failure('invalid', 'call: invalid: an answer without a head');

export class AskingLine {
  readonly #socket: Duplex;
  readonly #outbox: Outbox;
  readonly #reader = new FrameReader();
  readonly #calls = new FleetingMap<Asked>();
  /** Asked when it had said nothing for a while, and it has said nothing since. */
  readonly #unheard = new Map<number, Call>();
  readonly #giveBack: (...call: Call) => void;
  readonly #sweeping: NodeJS.Timeout;
  #lastNumber = 0;
  #heardAt = performance.now();
  #idleSince = performance.now();
  #sign: NodeJS.Timeout | null = null;
  #takesCalls = true;
  /** Its other end takes no calls any more, and said so. */
  #isLeft = false;
  /** It owes a sign of life. */
  #isDoubted = false;
  #lost: Error | null = null;

  /** `socket`: at its other end an `AnsweringLine` listens. `giveBack`: takes what is to be asked by another one. */
  constructor(socket: Duplex, giveBack: (...call: Call) => void) {
    this.#socket = socket;
    this.#giveBack = giveBack;
    this.#outbox = new Outbox(socket);
    this.#sweeping = setInterval(() => this.#sweep(), sweepMs);
    this.#sweeping.unref();
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('drain', () => this.#calls.all().forEach(({ out }) => out.drained()));
    socket.on('error', (error) => this.#lose(error));
    socket.on('end', () => this.#onEnd());
    socket.on('close', () => this.destroy());
    // Whoever read it before has left it standing.
    socket.resume();
  }

  /** Whether it takes one more call. */
  get isOpen(): boolean {
    return this.#takesCalls && this.#calls.size < callsMax && this.#lastNumber < numberMax;
  }

  dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    const { method, path, body, headers, headersTimeout, bodyTimeout } = options;
    const number = ++this.#lastNumber;
    const call = new Asked(number, handler, {
      outbox: this.#outbox,
      ...{ headMs: headersTimeout || Infinity, pieceMs: bodyTimeout || Infinity },
      over: () => this.#over(number),
    });
    this.#calls.set(number, call);
    handler.onRequestStart?.(call, null);
    if (call.aborted) return true;
    this.#outbox.frame(kinds.open, number, headBytes({ method, path, headers }));
    const bytes = typeof body === 'string' ? Buffer.from(body) : body;
    if (bytes instanceof Uint8Array && bytes.length > 0) call.out.write(bytes);
    call.out.end();
    if (performance.now() - this.#heardAt < quietMs) return true;
    if (options.idempotent === true) this.#unheard.set(number, [options, handler]);
    this.#wantSign();
    return true;
  }

  /** Cuts what still runs. */
  destroy(): void {
    this.#socket.destroy();
    this.#lose(new Failure('unreachable', 'line: unreachable: closed'));
  }

  #read(chunk: Buffer): void {
    this.#heardAt = performance.now();
    if (this.#unheard.size > 0) this.#unheard.clear();
    const isClean = this.#reader.read(chunk, (kind, number, body) => this.#hear(kind, number, body));
    if (!isClean) this.#break('a frame that is too long');
  }

  #hear(kind: number, number: number, body: Buffer): void {
    if (kind === kinds.leave) return this.#hearLeave();
    if (kind === kinds.ping) return this.#outbox.frame(kinds.pong, 0, null);
    // What is unknown was reset from here, or is over.
    const call = this.#calls.get(number);
    if (call === undefined) return;
    switch (kind) {
      case kinds.head:
        return this.#hearHead(call, body);
      case kinds.data:
        if (!call.isAnswered) return call.abort(headless);
        if (!call.in.hear(body)) this.#break('more than was allowed');
        return;
      case kinds.end:
        return call.isAnswered ? call.in.end() : call.abort(headless);
      case kinds.reset:
        return call.lose(lossBy(body.toString('utf8'), call));
      case kinds.credit:
        if (body.length === 4) call.out.grant(body.readUInt32BE(0));
    }
  }

  #hearHead(call: Asked, body: Buffer): void {
    const head = readAnswerHead(body);
    if (head === null) return this.#break('a head that is none');
    call.answer(head.status, head.headers);
  }

  /**
   * Who has left ends its connection when the calls that it took are over: what it has not answered it never took, or it
   * ran out of time, as it had said that it would.
   */
  #onEnd(): void {
    if (this.#isLeft)
      for (const call of this.#calls.all()) if (!call.isAnswered) call.lose(lossBy('leaving', call));
    this.destroy();
  }

  #hearLeave(): void {
    this.#isLeft = true;
    this.#leave();
  }

  #leave(): void {
    this.#takesCalls = false;
    if (this.#calls.size === 0) this.#outbox.end();
  }

  #over(number: number): void {
    this.#calls.delete(number);
    this.#unheard.delete(number);
    if (this.#calls.size > 0) return;
    this.#idleSince = performance.now();
    if (this.#takesCalls || this.#lost !== null) return;
    if (this.#isDoubted) this.destroy();
    else this.#outbox.end();
  }

  #wantSign(): void {
    if (this.#sign !== null) return;
    const askedAt = performance.now();
    this.#outbox.frame(kinds.ping, 0, null);
    // If it was us who stood still, the sign lies in the socket: it is read before the second turn from then.
    const judge = (): void => {
      this.#sign = null;
      if (this.#heardAt < askedAt) this.#doubt();
    };
    this.#sign = setTimeout(() => setImmediate(() => setImmediate(judge)), signMs);
  }

  #doubt(): void {
    this.#takesCalls = false;
    this.#isDoubted = true;
    const silent = new Failure('late', 'line: late: no sign of life');
    for (const call of this.#calls.all()) if (!call.isAnswered) call.lose(silent);
    if (this.#calls.size === 0) this.destroy();
  }

  #sweep(): void {
    const now = performance.now();
    for (const call of this.#calls.all())
      if (call.dueAt <= now && !call.paused) call.abort(new Failure('late', 'call: late: no answer'));
    if (this.#calls.size > 0 || now - this.#idleSince < idleMs || !this.#takesCalls) return;
    this.#leave();
  }

  #break(why: string): void {
    this.#socket.destroy();
    this.#lose(new Failure('invalid', `line: invalid: ${why}`));
  }

  #lose(error: Error): void {
    if (this.#lost !== null) return;
    this.#lost = error;
    this.#takesCalls = false;
    clearInterval(this.#sweeping);
    if (this.#sign !== null) clearTimeout(this.#sign);
    // What has come whole is told when its reader goes on.
    for (const call of this.#calls.all()) {
      const unheard = this.#unheard.get(call.number);
      if (unheard !== undefined && call.close()) this.#giveBack(...unheard);
      else if (!call.in.hasEnded) call.lose(error);
    }
  }
}

/** Before anything of a call was begun its other end may say that it takes none: that is no failure of whoever is there. */
function lossBy(why: string, { isAnswered }: Asked): Failure {
  const isTurnedAway = !isAnswered && (why === 'leaving' || why === 'full');
  const kind = isTurnedAway ? 'busy' : 'unreachable';
  return new Failure(kind, `call: ${kind}: ${why}`);
}

/** One call, as its handler steers it. */
class Asked implements Dispatcher.DispatchController, Taker {
  readonly number: number;
  readonly out: Outflow;
  readonly in: Inflow;
  /** By when its head is owed, or its next piece. */
  dueAt: number;
  isAnswered = false;
  aborted = false;
  reason: Error | null = null;
  readonly #handler: Dispatcher.DispatchHandler;
  readonly #outbox: Outbox;
  readonly #over: () => void;
  readonly #pieceMs: number;
  #isOver = false;

  constructor(
    number: number,
    handler: Dispatcher.DispatchHandler,
    line: {
      readonly outbox: Outbox;
      readonly headMs: number;
      readonly pieceMs: number;
      readonly over: () => void;
    },
  ) {
    this.number = number;
    this.#handler = handler;
    this.#outbox = line.outbox;
    this.#over = line.over;
    this.dueAt = performance.now() + line.headMs;
    this.#pieceMs = line.pieceMs;
    this.out = new Outflow(line.outbox, number);
    this.in = new Inflow(line.outbox, number, this);
  }

  get paused(): boolean {
    return this.in.isPaused;
  }

  abort(reason: Error): void {
    if (this.#isOver) return;
    this.aborted = true;
    this.reason = reason;
    this.#outbox.frame(kinds.reset, this.number, null);
    this.lose(reason);
  }

  pause(): void {
    this.in.pause();
  }

  resume(): void {
    if (this.#isOver) return;
    this.#wait();
    this.in.resume();
  }

  /** Most calls have a rhythm of their own by which they are judged: those pay nothing here for each piece. */
  #wait(): void {
    this.dueAt = this.#pieceMs === Infinity ? Infinity : performance.now() + this.#pieceMs;
  }

  answer(status: number, headers: Readonly<Record<string, string>>): void {
    if (this.isAnswered) return;
    this.isAnswered = true;
    this.#wait();
    try {
      this.#handler.onResponseStart?.(this, status, headers);
    } catch (error) {
      this.abort(error as Error);
    }
  }

  take(part: Buffer): void {
    if (this.#isOver) return;
    this.#wait();
    // As undici does: what its handler throws costs this call, and not the line that all the others go by.
    try {
      this.#handler.onResponseData?.(this, part);
    } catch (error) {
      this.abort(error as Error);
    }
  }

  ended(): void {
    if (!this.close()) return;
    try {
      this.#handler.onResponseEnd?.(this, {});
    } catch (error) {
      this.#handler.onResponseError?.(this, error as Error);
    }
  }

  lose(error: Error): void {
    if (this.close()) this.#handler.onResponseError?.(this, error);
  }

  /** Nothing more is told of it. False: it was over before. */
  close(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.out.stop();
    this.#over();
    return true;
  }
}
