/**
 * The way to one peer: a line, on which all calls share one connection, or HTTP/1.1 with a connection for each, where
 * the peer does not know lines. Both go by the connections of one pool, which knows who has to answer.
 *
 *   none ──first call──► connecting ──► line        connecting ──another answer──► plain, asked again after a while
 *     ▲                      │           │
 *     └────── refused ◄──────┘           └──broken, or closed while idle──► none
 *
 * A call that a line gives back goes by the next one.
 */
import type { Duplex } from 'node:stream';
import type { Dispatcher, Pool } from 'undici';
import { Failure } from '../std/failure.ts';

/** What may be asked of a peer: undici's own way of asking, and nothing else of it. */
export type Way = Pick<Dispatcher, 'dispatch'>;

export type LineKind = {
  /** As the Upgrade header has it. */
  readonly protocol: string;
  /** Over a connection that stands. `giveBack`: for calls by which it turned out that it did not stand any more. */
  readonly open: (socket: Duplex, giveBack: (...call: Call) => void) => OpenLine;
};

type OpenLine = Way & {
  /** Whether it takes one more call. */
  readonly isOpen: boolean;
  destroy(): void;
};

/** For the answer to the upgrade: who takes a connection answers it in a turn of its event loop. ms */
const upgradeMs = 2_000;
/** A peer that does not know lines may be another version the next time, ms. */
const plainMs = 60_000;
/** Calls that wait for a connection: more than any node lets in at once. */
const waitingMax = 8_192;

type Call = readonly [Dispatcher.DispatchOptions, Dispatcher.DispatchHandler];

export class PeerWay implements Way {
  readonly #pool: Pool;
  readonly #kind: LineKind;
  #line: OpenLine | null = null;
  /** null: no line is being asked for. */
  #waiting: Call[] | null = null;
  #plainUntil = -Infinity;
  #isClosed = false;

  constructor(pool: Pool, kind: LineKind) {
    this.#pool = pool;
    this.#kind = kind;
  }

  dispatch(...call: Call): boolean {
    if (this.#line?.isOpen === true) return this.#line.dispatch(...call);
    if (this.#plainUntil > performance.now()) return this.#pool.dispatch(...call);
    if (this.#waiting !== null && this.#waiting.length >= waitingMax) {
      queueMicrotask(() => refuse(call[1], new Failure('busy', 'peer: busy: too many calls wait')));
      return false;
    }
    if (this.#waiting !== null) return this.#waiting.push(call) > 0;
    this.#waiting = [call];
    this.#connect();
    return true;
  }

  /** Nothing new goes by it; what runs comes to its end, and a line without calls closes by itself. */
  retire(): void {
    void this.#pool.close();
  }

  /** Cuts what still runs. */
  async destroy(): Promise<void> {
    this.#isClosed = true;
    this.#line?.destroy();
    await this.#pool.destroy();
  }

  #connect(): void {
    const { protocol } = this.#kind;
    const asked = { method: 'GET', path: '/', upgrade: protocol, headersTimeout: upgradeMs };
    this.#pool.dispatch(
      asked,
      new Upgrade(
        (socket) => this.#begin(socket),
        (why) => this.#end(why),
      ),
    );
  }

  #begin(socket: Duplex): void {
    if (this.#isClosed) return void socket.destroy();
    this.#line = this.#kind.open(socket, (...call) => this.dispatch(...call));
    for (const call of this.#taken()) this.#line.dispatch(...call);
  }

  #end(why: Error | 'plain'): void {
    const calls = this.#taken();
    if (why === 'plain') this.#plainUntil = performance.now() + plainMs;
    for (const call of calls) {
      if (why === 'plain') this.#pool.dispatch(...call);
      else refuse(call[1], why);
    }
  }

  #taken(): readonly Call[] {
    const calls = this.#waiting ?? [];
    this.#waiting = null;
    return calls;
  }
}

/** Asks for a line. A class because undici calls methods on it. */
class Upgrade implements Dispatcher.DispatchHandler {
  readonly #begin: (socket: Duplex) => void;
  readonly #end: (why: Error | 'plain') => void;
  #isPlain = false;

  constructor(begin: (socket: Duplex) => void, end: (why: Error | 'plain') => void) {
    this.#begin = begin;
    this.#end = end;
  }

  onRequestStart(): void {}

  onRequestUpgrade(
    _controller: Dispatcher.DispatchController,
    _status: number,
    _headers: unknown,
    socket: Duplex,
  ): void {
    this.#begin(socket);
  }

  /** Any other answer than the upgrade. */
  onResponseStart(_controller: Dispatcher.DispatchController, status: number): void {
    if (status >= 200) this.#isPlain = true;
  }

  onResponseData(): void {}

  onResponseEnd(): void {
    this.#end('plain');
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#end(this.#isPlain ? 'plain' : error);
  }
}

/** As undici says that it never got there. */
export function refuse(handler: Dispatcher.DispatchHandler, why: Error): void {
  handler.onResponseError?.(noController, why);
}

const noController: Dispatcher.DispatchController = {
  ...{ aborted: true, paused: false, reason: null, abort: () => {}, pause: () => {}, resume: () => {} },
};
