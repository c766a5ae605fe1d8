/**
 * One stream made of as many as it takes. Only whole events are passed on: what a dying node had half said is said
 * again by the next one, and the id of the last event passed on tells that one where to begin.
 */
import { AnswerLost } from './answer-lost.ts';
import type { Asked } from './asked.ts';
import type { Attempt, Resuming } from './attempt.ts';
import { beginAnswer } from './begin.ts';
import { EventSplitter, type StreamEvent } from './events.ts';
import { resumeAnswer } from './resume.ts';
import type { Settings } from './settings.ts';

/** Times in a row that another node goes on and says nothing: then it is the answer that nobody can give. */
const fruitlessMax = 5;
/**
 * Times in all that a stream is taken back from another connection: one of our own that was given up. Whoever takes it
 * more often is somebody else with our place in it.
 */
const takenBackMax = 3;

type Controller = ReadableStreamDefaultController<Uint8Array>;

/** What one node says. */
type Part = Attempt & {
  readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly splitter: EventSplitter;
};

/** Owns the connection of the moment. Bytes are read when the caller wants them, and not before. */
export class Continued implements UnderlyingDefaultSource<Uint8Array> {
  readonly #asked: Asked;
  readonly #settings: Settings;
  readonly #encoder = new TextEncoder();
  readonly #ending = new AbortController();
  readonly #letGo: () => void;
  #part: Part;
  #lastId: string | null = null;
  #hasPassed = false;
  #fruitless = 0;
  #attempts = 0;
  #takenBack = 0;

  constructor(asked: Asked, begun: Attempt, settings: Settings) {
    // Who stops reading ends the search for another node as well. `AbortSignal.any` is younger than many a browser.
    const { signal } = asked;
    const onAbort = (): void => this.#ending.abort(signal?.reason);
    if (signal?.aborted === true) onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#letGo = (): void => signal?.removeEventListener('abort', onAbort);
    this.#asked = { ...asked, signal: this.#ending.signal };
    this.#settings = settings;
    this.#part = partOf(begun);
  }

  async pull(controller: Controller): Promise<void> {
    try {
      await this.#tell(controller);
    } catch (error) {
      this.cancel();
      throw error;
    }
  }

  async #tell(controller: Controller): Promise<void> {
    for (;;) {
      let broke: unknown = null;
      let isTaken = false;
      try {
        const heard = await this.#hear(controller);
        if (heard === 'passed') return;
        if (heard === 'nothing') continue;
        isTaken = heard === 'taken';
      } catch (error) {
        this.#asked.signal?.throwIfAborted();
        broke = error;
      }
      if (this.#hasPassed && this.#lastId === null) return this.#endPlain(controller, broke);
      if (!isTaken) this.#settings.entries.failed(this.#part.entry);
      await this.#mend(broke);
    }
  }

  cancel(): void {
    this.#letGo();
    this.#ending.abort();
    this.#part.close();
  }

  async #hear(controller: Controller): Promise<'passed' | 'nothing' | 'ended' | 'taken'> {
    const { reader, splitter } = this.#part;
    const patienceMs = this.#settings.silenceMs * 2 ** this.#fruitless;
    // Before the first event there is only a queue to wait for, and without ids nowhere to go.
    const bytes = await (this.#lastId === null ? reader.read() : within(patienceMs, reader.read()));
    if (bytes.done) return 'ended';
    const events = splitter.feed(bytes.value);
    for (const event of events) {
      const { farewell } = event;
      if (farewell === 'elsewhere' && this.#lastId !== null) return 'ended';
      if (farewell === 'taken' && this.#lastId !== null && this.#takenBack++ < takenBackMax) return 'taken';
      this.#pass(event, controller);
      if (event.isLast) return this.#close(controller);
    }
    return events.length > 0 ? 'passed' : 'nothing';
  }

  /** A comment is passed on for whoever keeps a connection open by it, and brings the answer no further. */
  #pass({ id, text, isComment }: StreamEvent, controller: Controller): void {
    controller.enqueue(this.#encoder.encode(text));
    if (isComment) return;
    this.#lastId = id ?? this.#lastId;
    this.#hasPassed = true;
    this.#fruitless = 0;
  }

  #close(controller: Controller): 'passed' {
    this.#letGo();
    this.#part.close();
    controller.close();
    return 'passed';
  }

  /** Events without ids are passed on as any `fetch` would, to whatever end they come. */
  #endPlain(controller: Controller, broke: unknown): void {
    if (broke !== null) throw broke as Error;
    const rest = this.#part.splitter.rest();
    if (rest !== '') controller.enqueue(this.#encoder.encode(rest));
    this.#close(controller);
  }

  /** Goes on elsewhere, or begins again where nothing has been passed on. */
  async #mend(broke: unknown): Promise<void> {
    const { entry: from, close } = this.#part;
    const { onResume } = this.#settings;
    close();
    this.#fruitless += 1;
    if (this.#fruitless > fruitlessMax)
      throw new AnswerLost('the answer broke off again and again', null, broke ?? undefined);
    const since = performance.now();
    const lastEventId = this.#lastId;
    if (lastEventId === null) {
      this.#part = partOf(await beginAnswer(this.#asked, this.#settings));
      return;
    }
    const next = (): Resuming => ({ lastEventId, attempt: ++this.#attempts });
    this.#part = partOf(await resumeAnswer(this.#asked, next, this.#settings));
    const afterMs = performance.now() - since;
    onResume({ from, to: this.#part.entry, lastEventId, afterMs });
  }
}

function partOf(made: Attempt): Part {
  const { status, body } = made.response;
  if (status !== 200 || body === null) {
    made.close();
    throw new AnswerLost(`the answer broke off before it began, then status ${status}`, status);
  }
  return { ...made, reader: body.getReader(), splitter: new EventSplitter() };
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing came for ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
