/**
 * Server-sent events out of the bytes of one stream. Engines write each event as `data: …` and an empty line, and a part
 * nearly always is one of them or a few: those are cut apart here. From the first part that is anything else on, a parser
 * of the whole format reads.
 */
import { StringDecoder } from 'node:string_decoder';
import { createParser, type EventSourceParser } from 'eventsource-parser';

/** One event of an engine, characters: the largest is a chunk with the ids of a whole prompt. */
const eventCharsMax = 16 * 1_024 ** 2;
const begin = 'data: ';
const end = '\n\n';
const lineFeed = 10;
const carriageReturn = '\r';

export class EventReader {
  readonly #hear: (data: string) => void;
  #parser: EventSourceParser | null = null;
  #decoder: StringDecoder | null = null;

  constructor(hear: (data: string) => void) {
    this.#hear = hear;
  }

  /** Why nothing more can be read; null: it can. */
  read(part: Buffer): string | null {
    if (this.#parser === null && this.#cut(part)) return null;
    this.#decoder ??= new StringDecoder('utf8');
    this.#parser ??= createParser({ maxBufferSize: eventCharsMax, onEvent: ({ data }) => this.#hear(data) });
    try {
      this.#parser.feed(this.#decoder.write(part));
      return null;
    } catch (error) {
      return String(error); // The parser throws when an event outgrows its buffer.
    }
  }

  /** False: it is not some whole events of one line each, and none of them was told. */
  #cut(part: Buffer): boolean {
    const { length } = part;
    if (part[length - 1] !== lineFeed || part[length - 2] !== lineFeed) return false;
    const text = part.toString('utf8');
    // As most parts are.
    if (
      text.indexOf('\n') === text.length - end.length &&
      text.startsWith(begin) &&
      !text.includes(carriageReturn)
    ) {
      this.#hear(text.slice(begin.length, -end.length));
      return true;
    }
    const events: string[] = [];
    for (let at = 0; at < text.length;) {
      const line = text.indexOf('\n', at);
      if (!text.startsWith(begin, at) || text[line + 1] !== '\n') return false;
      events.push(text.slice(at + begin.length, line));
      at = line + end.length;
    }
    if (text.includes(carriageReturn)) return false;
    for (const data of events) this.#hear(data);
    return true;
  }
}
