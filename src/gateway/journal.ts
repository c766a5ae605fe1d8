/** How a node asks another about streams and their logs: one small request, answered at once, over their mutual TLS. */
import type { Dispatcher } from 'undici';
import type { AskMember } from '../node/finding.ts';
import type { MemberId } from '../std/member-id.ts';
import { Pieces } from '../std/pieces.ts';
import { inTwoTurns } from './patience.ts';
import type { Way } from './way.ts';

export const journalPath = '/journal';
export const storiesPath = '/streams';

/** A log with the largest body, its prompt's ids and its answer. */
const answerBytesMax = 64 * 1_024 ** 2;

/** `dispatcherTo`: connections to a member; null: there is no way to it just now. */
export const askBy =
  (dispatcherTo: (member: MemberId) => Way | null, path = journalPath): AskMember =>
  (member, message, withinMs, tell) => {
    const dispatcher = dispatcherTo(member);
    // Never before we return: who asks is in the middle of something.
    const later = (answer: Uint8Array | null): void => queueMicrotask(() => tell(answer));
    if (dispatcher === null) return later(null);
    dispatcher.dispatch(
      {
        ...{ method: 'POST', path, body: message },
        headers: { 'content-type': 'application/octet-stream' },
        // What comes twice changes nothing (J1), and a connection that its peer forgot must not pass for a log that it lost.
        idempotent: true,
      },
      new Answer(withinMs, later),
    );
  };

/**
 * One answer, told once; null: none in time, or another than we understand. A class because undici calls methods on
 * it. It is asked for dozens of times a second while streams run, so it goes without promises and signals.
 */
class Answer implements Dispatcher.DispatchHandler {
  readonly #tell: (answer: Uint8Array | null) => void;
  readonly #late: NodeJS.Timeout;
  #controller: Dispatcher.DispatchController | null = null;
  #status = 0;
  #bytes = 0;
  readonly #parts = new Pieces();
  #over = false;

  constructor(withinMs: number, tell: (answer: Uint8Array | null) => void) {
    this.#tell = tell;
    // If it was us who stood still, the answer lies in the socket.
    this.#late = setTimeout(() => inTwoTurns(() => this.#giveUp()), withinMs);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#over) controller.abort(new Error('too late'));
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number): void {
    this.#status = status;
  }

  onResponseData(_controller: Dispatcher.DispatchController, part: Buffer): void {
    this.#bytes += part.length;
    if (this.#bytes > answerBytesMax) return this.#giveUp();
    this.#parts.add(part);
  }

  onResponseEnd(): void {
    this.#finish(this.#status === 200 ? this.#parts.all() : null);
  }

  /** A member that does not answer has lost its copies as far as we are concerned; who asked says so. */
  onResponseError(): void {
    this.#finish(null);
  }

  #giveUp(): void {
    if (this.#over) return;
    this.#finish(null);
    this.#controller?.abort(new Error('too late'));
  }

  #finish(answer: Uint8Array | null): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#late);
    this.#tell(answer);
  }
}
