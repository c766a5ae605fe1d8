/**
 * One request to one engine, over undici's bare dispatch: the hot path has no streams and no promises. What comes is
 * parsed here, once, into what the generation machine understands.
 */
import type { Dispatcher } from 'undici';
import { faultOf, type Leg, type LegEars, type LegNews, type OpenLeg } from '../node/leg.ts';
import type { MemberId } from '../std/member-id.ts';
import { Pieces } from '../std/pieces.ts';
import { ItemReader } from '../stream/item-reader.ts';
import { EventReader } from './event-reader.ts';
import { loadFromHeader, loadHeader, lostHeader, refusedHeader } from './headers.ts';
import { openAiError } from './reply.ts';
import type { Room, Share } from './room.ts';
import { isEngineDead, isTurnedAway, whyBroken, type Way } from './way.ts';

/** An answer in one piece, bytes: many choices with their logprobs. */
const answerBytesMax = 128 * 1_024 ** 2;

type LegPorts = {
  readonly self: MemberId;
  /** Connections to a member's engine; null: there is no way to it just now. */
  readonly dispatcherTo: (member: MemberId) => Way | null;
  /** For the answers in one piece of all requests. */
  readonly room: Room;
};

export function legsBy({ self, dispatcherTo, room }: LegPorts): OpenLeg {
  return ({ member, headers, owner }, request, ears) => {
    const dispatcher = dispatcherTo(member);
    if (dispatcher === null) return null;
    const response = new LegResponse(ears, room.of(owner));
    dispatcher.dispatch(
      {
        method: 'POST',
        path: (member === self ? '' : '/engine') + request.path,
        headers: { 'content-type': 'application/json', ...headers },
        body: request.body,
        headersTimeout: 0,
        bodyTimeout: 0,
        // Whoever made some of it for nobody is aborted, and a generation is asked for again wherever it breaks off.
        idempotent: true,
      },
      response,
    );
    return response;
  };
}

/** A class because undici calls methods on it, and because it owns a connection from one call to the next. */
class LegResponse implements Dispatcher.DispatchHandler, Leg {
  readonly #ears: LegEars;
  readonly #room: Share;
  #controller: Dispatcher.DispatchController | null = null;
  #over = false;
  #status = 0;
  #isStream = false;
  readonly #events = new EventReader((data) => this.#hear(data));
  readonly #items = new ItemReader();
  readonly #parts = new Pieces();
  /** What it has of the room. */
  #bytes = 0;

  constructor(ears: LegEars, room: Share) {
    this.#ears = ears;
    this.#room = room;
  }

  abort(): void {
    // An error gathers its stack, and most answers are over by then.
    if (this.#over) return;
    this.#end();
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
    if (load !== null) this.#ears.load(load);
    const refused = headers[refusedHeader];
    if (status === 503 && refused !== undefined) {
      this.#finish({ type: 'unreached', why: String(refused), fault: faultOf(String(refused)) });
    } else if (status === 502 && headers[lostHeader] !== undefined) {
      this.#finish({ type: 'engine-dead', why: String(headers[lostHeader]) });
    } else if (status === 200 && String(headers['content-type']).startsWith('text/event-stream')) {
      this.#isStream = true;
      this.#ears.news({ type: 'answered' });
    }
  }

  onResponseData(_controller: Dispatcher.DispatchController, part: Buffer): void {
    if (this.#over) return;
    if (!this.#isStream) return this.#gather(part);
    const why = this.#events.read(part);
    if (why !== null) this.#giveUp('nonsense', why);
  }

  onResponseEnd(): void {
    if (this.#over) return;
    if (this.#isStream) return this.#finish({ type: 'ended', cause: 'eof', why: 'end of stream' });
    const body = this.#parts.all().toString('utf8');
    const status = this.#status;
    this.#finish({ type: 'answer', status, body: status < 400 ? body : openAiError(status, body) });
  }

  onResponseError(controller: Dispatcher.DispatchController, error: Error): void {
    if (isTurnedAway(error)) return this.#finish({ type: 'unreached', why: error.message, fault: null });
    const why = whyBroken(error);
    if (isEngineDead(error)) return this.#finish({ type: 'engine-dead', why });
    // Another one than it began by: what it began by gave it back, and the next connection did not come to be.
    const sent = this.#controller !== null && controller === this.#controller;
    this.#finish(sent ? { type: 'ended', cause: 'reset', why } : { type: 'unreached', why, fault: 'member' });
  }

  #hear(data: string): void {
    if (!this.#over) this.#ears.news({ type: 'item', item: this.#items.read(data) });
  }

  #gather(part: Buffer): void {
    if (this.#bytes + part.length > answerBytesMax) return this.#giveUp('nonsense', 'answer too large');
    if (this.#room.take(part.length) !== null)
      return this.#giveUp('crowded', 'too many large answers at once');
    this.#bytes += part.length;
    this.#parts.add(part);
  }

  #giveUp(cause: 'nonsense' | 'crowded', why: string): void {
    this.#finish({ type: 'ended', cause, why });
    this.#controller?.abort(new Error(why));
  }

  #finish(news: LegNews): void {
    if (this.#over) return;
    this.#end();
    this.#ears.news(news);
  }

  #end(): void {
    this.#over = true;
    this.#room.giveBack(this.#bytes);
    this.#parts.clear();
  }
}
