/** One member's try at a request that is passed through: what it answers is told piece by piece, its end once. */
import type { Dispatcher } from 'undici';
import type { MemberId } from '../std/member-id.ts';
import { Pieces } from '../std/pieces.ts';
import type { Instant } from '../std/time.ts';
import type { LossCause } from '../stream/loss.ts';
import { loadHeader, lostHeader, refusedHeader } from './headers.ts';
import { isEngineDead, isTurnedAway, whyBroken } from './way.ts';

/** Of an answer in one piece: a thousand embeddings of 4,096 numbers are 90 MB. */
const answerBytesMax = 128 * 1_024 ** 2;

export type Answer = {
  readonly status: number;
  readonly type: string;
  readonly body: Buffer;
  readonly by: MemberId;
};

/**
 * `blame`: the member itself is in doubt, and not only its engine, which may be known to be dead. `cause`: what a client
 * is told that had some of the answer.
 */
export type Loss = {
  readonly blame: boolean;
  readonly failed: boolean;
  readonly isDead: boolean;
  readonly cause: LossCause;
};

/** Whose try it is. */
type Ears = {
  heardLoad(member: MemberId, header: unknown): void;
  /** A piece of a stream. False: no more just now. */
  piece(part: Buffer, head: Omit<Answer, 'body'>): boolean;
  /** One more piece of an answer that is kept until all of it is there. False: there is no room for it. */
  hold(bytes: number): boolean;
  crowded(): void;
  whole(answer: Answer, attempt: Attempt): void;
  streamed(attempt: Attempt): void;
  broken(attempt: Attempt, why: string, loss: Loss): void;
  turnedAway(attempt: Attempt): void;
};

/** A class because undici calls methods on it. */
export class Attempt implements Dispatcher.DispatchHandler {
  readonly member: MemberId;
  readonly begunAt: Instant;
  isOver = false;
  readonly #accounts: readonly (() => void)[];
  readonly #ears: Ears;
  #controller: Dispatcher.DispatchController | null = null;
  #status = 0;
  #type = '';
  readonly #parts = new Pieces();
  #bytes = 0;

  constructor(
    sent: {
      readonly member: MemberId;
      readonly begunAt: Instant;
      readonly accounts: readonly (() => void)[];
    },
    ears: Ears,
  ) {
    this.member = sent.member;
    this.begunAt = sent.begunAt;
    this.#accounts = sent.accounts;
    this.#ears = ears;
  }

  resume(): void {
    this.#controller?.resume();
  }

  /** Closes its connection, which aborts the engine. Nothing is told after this. */
  end(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#controller?.abort(new Error('no longer wanted'));
    for (const settle of this.#accounts) settle();
  }

  lose(cause: 'dead' | 'silence'): void {
    this.end();
    this.#ears.broken(this, 'moved', { blame: false, failed: false, isDead: false, cause });
  }

  turnedAway(): void {
    this.end();
    this.#ears.turnedAway(this);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.isOver) controller.abort(new Error('no longer wanted'));
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Readonly<Record<string, string | string[] | undefined>>,
  ): void {
    if (this.isOver || status < 200) return;
    this.#ears.heardLoad(this.member, headers[loadHeader]);
    if (status === 503 && headers[refusedHeader] !== undefined) return this.turnedAway();
    if (status === 502 && headers[lostHeader] !== undefined) return this.#break('engine', 'dead');
    this.#status = status;
    this.#type = String(headers['content-type'] ?? 'application/json');
  }

  onResponseData(controller: Dispatcher.DispatchController, part: Buffer): void {
    if (this.isOver) return;
    if (this.#isStream()) {
      if (!this.#ears.piece(part, this.#head())) controller.pause();
      return;
    }
    this.#bytes += part.length;
    if (this.#bytes > answerBytesMax) return this.#break('answer too large', 'broken');
    if (!this.#ears.hold(part.length)) {
      this.end();
      return this.#ears.crowded();
    }
    this.#parts.add(part);
  }

  onResponseEnd(): void {
    if (this.isOver) return;
    this.#controller = null;
    if (this.#isStream()) return this.#ears.streamed(this);
    this.#ears.whole({ ...this.#head(), body: this.#parts.all() }, this);
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.isOver) return;
    if (isTurnedAway(error)) return this.turnedAway();
    this.#break(whyBroken(error), isEngineDead(error) ? 'dead' : this.#status === 0 ? 'headless' : 'broken');
  }

  #break(why: string, how: 'dead' | 'headless' | 'broken'): void {
    this.end();
    const [blame, isDead] = [how === 'headless', how === 'dead'];
    this.#ears.broken(this, why, { blame, failed: true, isDead, cause: 'reset' });
  }

  #isStream(): boolean {
    return this.#status === 200 && this.#type.startsWith('text/event-stream');
  }

  #head(): Omit<Answer, 'body'> {
    return { status: this.#status, type: this.#type, by: this.member };
  }
}
