/**
 * One client of a gateway, or of the engines: as cheap as it can be, because it shares its core with them. It counts
 * the events of a stream and knows whether the answer is whole; what is in it other tests look at.
 */
import { Pool, type Dispatcher } from 'undici';
import { bodyOf, type Question } from './plan.ts';

export type Client = {
  ask(question: Question, onEvents?: (count: number) => void): Promise<Answer>;
  /** Also what still runs, whose answers are then not whole. */
  close(): Promise<void>;
};

export type Answer = {
  readonly whole: boolean;
  /** From asking to the first token, or the first byte of an answer in one piece, and to its end. */
  readonly firstMs: number;
  readonly wholeMs: number;
};

export type Target = { readonly url: string; readonly headers: Readonly<Record<string, string>> };

/** More than any load has at once. */
const connectionsMax = 2_048;
/** Of any answer, ms: streams of a crowd take fifty seconds. */
const patienceMs = 120_000;
/** At the end of every stream, whatever else it has. */
const lastWord = Buffer.from('data: [DONE]\n\n');
const lineFeed = 10;

export function openClient({ url, headers }: Target): Client {
  const pool = new Pool(url, {
    connections: connectionsMax,
    bodyTimeout: patienceMs,
    headersTimeout: patienceMs,
  });
  return {
    ask: (question, onEvents = () => {}) =>
      new Promise((resolve) => {
        const request = {
          ...({ method: 'POST', path: '/v1/chat/completions' } as const),
          headers: { ...headers, 'content-type': 'application/json' },
          body: bodyOf(question),
        };
        pool.dispatch(request, new Listener(question, onEvents, resolve));
      }),
    close: () => pool.destroy(),
  };
}

/** A class because undici calls methods on it. */
class Listener implements Dispatcher.DispatchHandler {
  readonly #question: Question;
  readonly #onEvents: (count: number) => void;
  readonly #tell: (answer: Answer) => void;
  readonly #askedAt = performance.now();
  #firstAt = 0;
  #status = 0;
  #tail: Buffer = Buffer.alloc(0);
  #events = 0;
  #endsInLine = false;

  constructor(question: Question, onEvents: (count: number) => void, tell: (answer: Answer) => void) {
    this.#question = question;
    this.#onEvents = onEvents;
    this.#tell = tell;
  }

  onRequestStart(): void {}

  onResponseStart(_controller: Dispatcher.DispatchController, status: number): void {
    this.#status = status;
  }

  onResponseData(_controller: Dispatcher.DispatchController, part: Buffer): void {
    const { stream } = this.#question;
    this.#tail = stream && part.length >= lastWord.length ? part : Buffer.concat([this.#tail, part]);
    if (!stream) return this.#hearFirst();
    const count = this.#count(part);
    this.#events += count;
    // The first event has the role: an engine tells it before it computes, a gateway may keep it for the token.
    if (this.#events > 1) this.#hearFirst();
    this.#onEvents(count);
  }

  onResponseEnd(): void {
    this.#end(this.#status === 200 && this.#isWhole());
  }

  onResponseError(): void {
    this.#end(false);
  }

  #hearFirst(): void {
    if (this.#firstAt === 0) this.#firstAt = performance.now();
  }

  /** Empty lines, one of which ends each event. */
  #count(part: Buffer): number {
    let count = 0;
    let ends = this.#endsInLine;
    for (let at = part.indexOf(lineFeed); at !== -1; at = part.indexOf(lineFeed, at + 1)) {
      const isEmpty = at === 0 ? ends : part[at - 1] === lineFeed;
      if (isEmpty) count++;
    }
    ends = part[part.length - 1] === lineFeed;
    this.#endsInLine = ends;
    return count;
  }

  #isWhole(): boolean {
    const { stream, tokens } = this.#question;
    if (!stream) return this.#tail.includes(`"completion_tokens":${tokens}`);
    return this.#tail.subarray(-lastWord.length).equals(lastWord);
  }

  #end(whole: boolean): void {
    const now = performance.now();
    const firstMs = (this.#firstAt || now) - this.#askedAt;
    this.#tell({ whole, firstMs, wholeMs: now - this.#askedAt });
  }
}
