/**
 * One request to one engine, over undici's bare dispatch: the hot path has no streams and no promises. What comes is
 * parsed here, once, into what the generation machine understands; when to give up is the machine's decision, so there
 * are no timeouts of our own, and nothing is ever retried here.
 */
import { StringDecoder } from 'node:string_decoder';
import { createParser, type EventSourceParser } from 'eventsource-parser';
import type { Dispatcher } from 'undici';
import type { MemberLoad } from '../node/serving.ts';
import { readItem, type Item } from '../stream/chunk.ts';
import type { LegRequest } from '../stream/continuation.ts';
import { loadFromHeader, loadHeader, refusedHeader } from './headers.ts';
import { openAiError } from './reply.ts';

/** One event of an engine, characters: the largest is a chunk with the ids of a whole prompt. */
const eventCharsMax = 16 * 1_024 ** 2;
/** An answer in one piece, bytes: many choices with their logprobs. */
const answerBytesMax = 128 * 1_024 ** 2;

export type LegNews =
  /** Never got there. `blame`: the member itself, and not only its engine, is in doubt. */
  | { readonly type: 'unreached'; readonly why: string; readonly blame: boolean }
  | { readonly type: 'answered' }
  | { readonly type: 'item'; readonly item: Item }
  | { readonly type: 'answer'; readonly status: number; readonly body: string }
  | { readonly type: 'ended'; readonly cause: 'eof' | 'reset' | 'nonsense'; readonly why: string };

export type Leg = {
  /** Closes the connection, which aborts the engine. Nothing is told after this. */
  abort(): void;
};

type LegTarget = {
  readonly dispatcher: Dispatcher;
  /** `/engine` at a peer, nothing at our own engine. */
  readonly prefix: string;
  readonly headers: Readonly<Record<string, string>>;
};

export function openLeg(
  target: LegTarget,
  request: LegRequest,
  tell: { news(news: LegNews): void; load(load: MemberLoad): void },
): Leg {
  const handler = new LegResponse(tell);
  target.dispatcher.dispatch(
    {
      method: 'POST',
      path: target.prefix + request.path,
      headers: { 'content-type': 'application/json', ...target.headers },
      body: request.body,
      headersTimeout: 0,
      bodyTimeout: 0,
    },
    handler,
  );
  return handler;
}

/** A class because undici calls methods on it, and because it owns a connection from one call to the next. */
class LegResponse implements Dispatcher.DispatchHandler, Leg {
  readonly #tell: { news(news: LegNews): void; load(load: MemberLoad): void };
  #controller: Dispatcher.DispatchController | null = null;
  #over = false;
  #status = 0;
  #parser: EventSourceParser | null = null;
  readonly #decoder = new StringDecoder('utf8');
  #parts: Buffer[] = [];
  #bytes = 0;

  constructor(tell: { news(news: LegNews): void; load(load: MemberLoad): void }) {
    this.#tell = tell;
  }

  abort(): void {
    this.#over = true;
    this.#controller?.abort(new Error('no longer wanted'));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#over) controller.abort(new Error('no longer wanted'));
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Readonly<Record<string, string | string[] | undefined>>,
  ): void {
    if (this.#over || status < 200) return;
    this.#status = status;
    const load = loadFromHeader(headers[loadHeader]);
    if (load !== null) this.#tell.load(load);
    const refused = headers[refusedHeader];
    if (status === 503 && refused !== undefined) {
      this.#finish({ type: 'unreached', why: String(refused), blame: false });
    } else if (status === 200 && String(headers['content-type']).startsWith('text/event-stream')) {
      this.#parser = createParser({
        maxBufferSize: eventCharsMax,
        onEvent: ({ data }) => this.#hear(data),
      });
      this.#tell.news({ type: 'answered' });
    }
  }

  onResponseData(_controller: Dispatcher.DispatchController, part: Buffer): void {
    if (this.#over) return;
    if (this.#parser === null) return this.#gather(part);
    try {
      this.#parser.feed(this.#decoder.write(part));
    } catch (error) {
      this.#giveUp(String(error)); // The parser throws when an event outgrows its buffer.
    }
  }

  onResponseEnd(): void {
    if (this.#over) return;
    if (this.#parser !== null) return this.#finish({ type: 'ended', cause: 'eof', why: 'end of stream' });
    const body = Buffer.concat(this.#parts).toString('utf8');
    const status = this.#status;
    this.#finish({ type: 'answer', status, body: status < 400 ? body : openAiError(status, body) });
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    const why = 'code' in error ? String(error.code) : error.message;
    const sent = this.#controller !== null;
    this.#finish(sent ? { type: 'ended', cause: 'reset', why } : { type: 'unreached', why, blame: true });
  }

  #hear(data: string): void {
    if (!this.#over) this.#tell.news({ type: 'item', item: readItem(data) });
  }

  #gather(part: Buffer): void {
    this.#bytes += part.length;
    if (this.#bytes > answerBytesMax) return this.#giveUp('answer too large');
    this.#parts.push(part);
  }

  #giveUp(why: string): void {
    this.#finish({ type: 'ended', cause: 'nonsense', why });
    this.#controller?.abort(new Error(why));
  }

  #finish(news: LegNews): void {
    if (this.#over) return;
    this.#over = true;
    this.#tell.news(news);
  }
}
