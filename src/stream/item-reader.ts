/**
 * Reads the events of one engine's stream. Nearly all of them are the one before with another text and other ids, so
 * their shape is learnt from one that was parsed as JSON: what stands before the text, between text and ids, and behind
 * them. An event that has all three is read by finding its text and its ids, at a fifth of the cost; any other one, and
 * every text with an escape in it or in want of one, is parsed.
 */
import type { Json } from '../std/json.ts';
import { readItem, type Choice, type Chunk, type Item } from './chunk.ts';

/** Events that are only parsed: a short answer is over before what a lesson costs is won back. */
const eventsBefore = 6;
/** Lessons until it is given up: the events have no shape that lasts. */
const lessonsMax = 8;
/** Digits of an id: all such numbers are exact. */
const digitsMax = 15;

type Shape = {
  readonly before: string;
  readonly between: string;
  readonly behind: string;
  readonly chunk: Chunk;
  readonly choice: Choice;
};

export class ItemReader {
  #shape: Shape | null = null;
  #events = 0;
  #lessons = 0;

  /** `data`: the payload of one event. */
  read(data: string): Item {
    const known = this.#shape === null ? null : readKnown(data, this.#shape);
    if (known !== null) return known;
    const item = readItem(data);
    this.#events += 1;
    if (item.type === 'chunk' && this.#events > eventsBefore && this.#lessons < lessonsMax) {
      this.#lessons += 1;
      this.#shape = shapeOf(data, item.chunk) ?? this.#shape;
    }
    return item;
  }
}

/** null: nothing can be learnt from it. */
function shapeOf(data: string, chunk: Chunk): Shape | null {
  const [choice] = chunk.choices;
  if (choice === undefined || chunk.choices.length > 1 || choice.finish !== null) return null;
  const { text, ids } = choice;
  if (ids === null || ids.length === 0 || text === '') return null;
  const told = `"${text}"`;
  const list = `"token_ids":[${ids.join(',')}]`;
  const textAt = data.indexOf(`:${told}`, data.indexOf('"choices"')) + 2;
  const idsAt = data.indexOf(list, textAt) + '"token_ids":['.length;
  if (textAt < 2 || idsAt < textAt || data.indexOf(list, idsAt) !== -1) return null;
  const textEnd = textAt + text.length;
  const shape = {
    ...{ before: data.slice(0, textAt), between: data.slice(textEnd, idsAt), chunk, choice },
    behind: data.slice(idsAt + list.length - 1 - '"token_ids":['.length),
  };
  // A text that also stands elsewhere in the event may have been found there.
  const other = `${shape.before}${otherText}${shape.between}7,8${shape.behind}`;
  const read = readItem(other);
  const [reread] = read.type === 'chunk' ? read.chunk.choices : [];
  return reread?.text === otherText && reread.ids?.join() === '7,8' ? shape : null;
}

/** That no engine says. */
const otherText = '\u{e000}';

/** An escape, or what JSON has only as one. */
const notPlain = /[\\\u0000-\u001f]/;

/** null: it is none of this shape. */
function readKnown(data: string, { before, between, behind, chunk, choice }: Shape): Item | null {
  // Slices and not `startsWith`, which looks at one character after the other and takes four times as long.
  if (data.slice(0, before.length) !== before || data.slice(-behind.length) !== behind) return null;
  const textEnd = data.indexOf('"', before.length);
  if (textEnd === -1 || data.slice(textEnd, textEnd + between.length) !== between) return null;
  const text = data.slice(before.length, textEnd);
  if (notPlain.test(text)) return null;
  const ids = idsBetween(data, textEnd + between.length, data.length - behind.length);
  if (ids === null) return null;
  const { promptIds, finish, stopReason, foreign, isWordless } = choice;
  const read: Choice = { text, isWordless, ids, promptIds, finish, stopReason, foreign };
  return { type: 'chunk', raw: data, chunk: new KnownChunk(chunk, read, data) };
}

function idsBetween(data: string, from: number, to: number): number[] | null {
  const ids: number[] = [];
  let [id, digits] = [0, 0];
  for (let at = from; at < to; at++) {
    const code = data.charCodeAt(at);
    if (code >= 48 && code <= 57) {
      // JSON has no number that begins with a zero and goes on.
      if (++digits > digitsMax || (digits === 2 && id === 0)) return null;
      id = id * 10 + code - 48;
    } else if (code === 44 && digits > 0) {
      ids.push(id);
      [id, digits] = [0, 0];
    } else return null;
  }
  if (digits === 0) return null;
  ids.push(id);
  return ids;
}

/** All of it as JSON is wanted by few. */
class KnownChunk implements Chunk {
  readonly id: string;
  readonly created: number;
  readonly model: string;
  readonly fingerprint: string | null;
  readonly usage: Json | null;
  readonly choices: readonly Choice[];
  readonly #raw: string;

  constructor({ id, created, model, fingerprint, usage }: Chunk, choice: Choice, raw: string) {
    this.id = id;
    this.created = created;
    this.model = model;
    this.fingerprint = fingerprint;
    this.usage = usage;
    this.choices = [choice];
    this.#raw = raw;
  }

  get json(): Json {
    return JSON.parse(this.#raw) as Json;
  }
}
