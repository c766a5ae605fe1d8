/**
 * What is written down of one answer, so that another entry node can go on with it: the request as it came, and what
 * the engines said to it, chunk by chunk as far as it is safe. Read again through the same functions that heard it
 * first, it gives the same events and the same state.
 *
 * As bytes each record is its kind, its length and its body. A reader passes over kinds that it does not know, and a
 * body in JSON may have fields that it does not know: nodes of two versions share their streams.
 */
import { noAbility, type Ability } from '../std/ability.ts';
import { ByteReader, ByteWriter } from '../std/bytes.ts';
import { type Json, parseObject } from '../std/json.ts';
import type { Finish, Head, Named } from './answer.ts';
import type { Endpoint } from './chunk.ts';
import { formOf, readDelta, shapesMax, writeForm } from './delta.ts';
import type { Engines } from './request.ts';

/** The request, and whose it is. */
export type Opening = {
  readonly endpoint: Endpoint;
  readonly model: string;
  /** The body as it came. */
  readonly raw: string;
  /** As the first entry node knew them: what the request was read with, and is read with again. */
  readonly engines: Engines;
  /** As it is named, whoever tells it; null: of an earlier version, which knew that from the first engine. */
  readonly named: Named | null;
  /** Hash of what the client proved itself by. */
  readonly owner: string;
  /** Hash of method, path and body. */
  readonly digest: string;
  /** Its choices were asked for one by one. */
  readonly apart: boolean;
};

export type LogRecord =
  | {
      readonly type: 'born';
      readonly head: Head;
      readonly fingerprint: string | null;
      readonly promptIds: readonly number[];
    }
  | {
      readonly type: 'said';
      readonly ids: readonly number[];
      readonly text: string;
      /** The text came with the last id alone. */
      readonly single: boolean;
      readonly finish: Finish | null;
    }
  /** An event of a chat whose calls and reasoning an engine put together. */
  | {
      readonly type: 'spoken';
      /** Those that it told of first. */
      readonly ids: readonly number[];
      readonly delta: Json;
      readonly finish: Finish | null;
      /** Told with the finish. */
      readonly fingerprint: string | null;
    }
  | { readonly type: 'closed'; readonly fingerprint: string | null; readonly counted: Json | null }
  /** An event that was passed on as it is, of an answer that is told again by asking the same again. */
  | { readonly type: 'passed'; readonly data: string }
  /**
   * From here on the client was told what cannot be told again. `spoken`: it can, but only by who knows that record;
   * who does not reads the same as without it.
   */
  | { readonly type: 'unfit'; readonly spoken: boolean };

/** What is written down of one choice of several. Who does not know that finds nothing to go on with. */
type ChoiceRecord = { readonly type: 'choice'; readonly choice: number; readonly record: LogRecord };

export type Written = LogRecord | ChoiceRecord;

/** Kinds of records; a number is never used again for something else. */
const kinds = {
  ...{ opening: 1, born: 2, said: 3, closed: 4, unfit: 5, answer: 6, passed: 7, spoken: 8 },
  choice: 9,
} as const;

/** An answer that was given as a whole. */
type WholeRecord = { readonly type: 'answer'; readonly status: number; readonly body: string };

export type Log = {
  readonly opening: Opening;
  readonly records: readonly Written[];
  readonly answer: WholeRecord | null;
};

export function openingBytes({ raw, ...rest }: Opening): Uint8Array {
  return record(kinds.opening, (body) => body.text(JSON.stringify(rest)).tail(raw));
}

export const answerBytes = ({ status, body }: WholeRecord): Uint8Array =>
  record(kinds.answer, (into) => into.varint(status).tail(body));

export function recordBytes(said: Written): Uint8Array {
  switch (said.type) {
    case 'choice': {
      const own = recordBytes(said.record);
      return record(kinds.choice, (body) => body.varint(said.choice).raw(own));
    }
    case 'born': {
      const { head, fingerprint, promptIds } = said;
      return record(kinds.born, (body) => {
        body.text(JSON.stringify({ ...head, fingerprint })).varint(promptIds.length);
        for (const id of promptIds) body.varint(id);
      });
    }
    case 'said':
      writeSaid(scratch.clear(), said);
      return recordOf(kinds.said);
    case 'spoken':
      return record(kinds.spoken, (body) => writeSpoken(body, said));
    case 'closed': {
      const { fingerprint, counted } = said;
      return record(kinds.closed, (body) => body.text(JSON.stringify({ fingerprint, counted })));
    }
    case 'passed':
      return record(kinds.passed, (body) => body.tail(said.data));
    case 'unfit':
      return record(kinds.unfit, (body) => void (said.spoken && body.varint(1)));
  }
}

const flags = { single: 1, finish: 2, all: 4 };

function writeSaid(
  body: ByteWriter,
  { ids, text, single, finish }: Extract<LogRecord, { type: 'said' }>,
): void {
  const flag = (single ? flags.single : 0) + (finish === null ? 0 : flags.finish);
  body.varint(ids.length * flags.all + flag);
  for (const id of ids) body.varint(id);
  if (finish !== null) body.text(JSON.stringify(finish));
  body.tail(text);
}

function writeSpoken(
  body: ByteWriter,
  { ids, delta, finish, fingerprint }: Extract<LogRecord, { type: 'spoken' }>,
): void {
  const form = formOf(delta);
  body.varint((ids.length * shapesMax + form.shape) * 2 + (finish === null ? 0 : 1));
  for (const id of ids) body.varint(id);
  if (finish !== null) body.text(JSON.stringify({ ...finish, fingerprint }));
  writeForm(body, form);
}

/** The body of the record that is being written, and all of it where that is short, as nearly all are. */
const scratch = new ByteWriter(4_096);
const short = new ByteWriter(4_096);
const shortBytes = 4_000;

function record(kind: number, write: (body: ByteWriter) => void): Uint8Array {
  write(scratch.clear());
  return recordOf(kind);
}

/** With what `scratch` has as its body. */
function recordOf(kind: number): Uint8Array {
  if (scratch.length <= shortBytes) return short.clear().varint(kind).sized(scratch.bytes()).bytes().slice();
  return new ByteWriter(scratch.length + 8).varint(kind).sized(scratch.bytes()).bytes();
}

/** How far a client can be that has all of it: tokens, or events where those are counted. */
export const tokensIn = ({ records }: Pick<Log, 'records'>): number =>
  records.map(recordIn).reduce((sum, one) => sum + tokensOf(one), 0);
const tokensOf = (one: LogRecord): number => ('ids' in one ? one.ids.length : one.type === 'passed' ? 1 : 0);

/** Of whatever choice it is. */
export const recordIn = (written: Written): LogRecord =>
  written.type === 'choice' ? written.record : written;

/**
 * The log without what does not end where a client is, and all that follows: of tokens that were said together a client
 * of another entry node may have had the first ones only, and their text cannot be told apart.
 */
export function cutAt(bytes: Uint8Array, tokens: number): Uint8Array {
  const reader = new ByteReader(bytes);
  let count = 0;
  while (!reader.isAtEnd && count < tokens) {
    const { at } = reader;
    const kind = reader.varint();
    const body = new ByteReader(reader.sized());
    if (reader.broken) break;
    if (kind === kinds.said) count += Math.floor(body.varint() / flags.all);
    if (count > tokens) return bytes.subarray(0, at);
  }
  return bytes;
}

/** null: not a log. One that breaks off in the middle of a record is read up to there. */
export function readLog(bytes: Uint8Array): Log | null {
  const reader = new ByteReader(bytes);
  let opening: Opening | null = null;
  let answer: WholeRecord | null = null;
  const records: Written[] = [];
  while (!reader.isAtEnd) {
    const kind = reader.varint();
    const body = new ByteReader(reader.sized());
    if (reader.broken) break;
    if (kind === kinds.opening) opening = readOpening(body);
    else if (kind === kinds.answer) {
      const status = body.varint();
      // No response can begin with another.
      if (status < 200 || status > 599) break;
      answer = { type: 'answer', status, body: body.tail() };
    } else {
      const read = kind === kinds.choice ? readChoice(body) : readRecord(kind, body);
      if (read === 'broken' || body.broken) break;
      if (read !== null) records.push(read);
    }
  }
  return opening === null ? null : { opening, records, answer };
}

function readChoice(body: ByteReader): ChoiceRecord | 'broken' | null {
  const choice = body.varint();
  const kind = body.varint();
  const own = new ByteReader(body.sized());
  const read = readRecord(kind, own);
  if (read === 'broken' || own.broken) return 'broken';
  return read && { type: 'choice', choice, record: read };
}

/** null: of a later version, and not needed to go on. */
function readRecord(kind: number, body: ByteReader): LogRecord | 'broken' | null {
  switch (kind) {
    case kinds.born: {
      const json = parseObject(body.text());
      if (json === null) return 'broken';
      const { id, created, model, fingerprint } = json;
      const promptIds = readIds(body, body.varint());
      const head = { id: String(id), created: Number(created), model: String(model) };
      return { type: 'born', head, fingerprint: textOrNull(fingerprint), promptIds };
    }
    case kinds.said:
      return readSaid(body);
    case kinds.closed: {
      const json = parseObject(body.text());
      if (json === null) return 'broken';
      const { fingerprint, counted } = json;
      return {
        type: 'closed',
        fingerprint: textOrNull(fingerprint),
        counted: (counted ?? null) as Json | null,
      };
    }
    case kinds.passed:
      return { type: 'passed', data: body.tail() };
    case kinds.unfit:
      return { type: 'unfit', spoken: !body.isAtEnd && body.varint() === 1 };
    case kinds.spoken:
      return readSpoken(body);
    default:
      return null;
  }
}

function readSaid(body: ByteReader): LogRecord | 'broken' {
  const packed = body.varint();
  const ids = readIds(body, Math.floor(packed / flags.all));
  const finish = packed & flags.finish ? parseObject(body.text()) : null;
  if (packed & flags.finish && finish === null) return 'broken';
  return {
    ...{ type: 'said', ids, text: body.tail(), single: (packed & flags.single) !== 0 },
    finish: finish === null ? null : finishOf(finish),
  };
}

/** What a later version put into a shape of its own cannot be told again by this one. */
function readSpoken(body: ByteReader): LogRecord | 'broken' {
  const packed = body.varint();
  const shaped = Math.floor(packed / 2);
  const ids = readIds(body, Math.floor(shaped / shapesMax));
  const ending = packed % 2 === 1 ? parseObject(body.text()) : null;
  const delta = readDelta(body, shaped % shapesMax);
  if (packed % 2 === 1 && ending === null) return 'broken';
  if (delta === null) return { type: 'unfit', spoken: false };
  const finish = ending === null ? null : finishOf(ending);
  return { type: 'spoken', ids, delta, finish, fingerprint: textOrNull(ending?.['fingerprint']) };
}

function finishOf({ reason, stopReason }: Json): Finish {
  const known = typeof stopReason === 'string' || typeof stopReason === 'number';
  return { reason: String(reason), stopReason: known ? stopReason : null };
}

function readIds(body: ByteReader, count: number): number[] {
  const ids: number[] = [];
  for (let i = 0; i < count && !body.broken; i++) ids.push(body.varint());
  return ids;
}

function readOpening(body: ByteReader): Opening | null {
  const json = parseObject(body.text());
  if (json === null || body.broken) return null;
  const { endpoint, model, engines, named, owner, digest, apart } = json;
  if (endpoint !== 'chat' && endpoint !== 'completions') return null;
  return {
    ...{ endpoint, model: String(model), raw: body.tail(), owner: String(owner), digest: String(digest) },
    engines: enginesOf(engines),
    named: namedOf(named),
    apart: apart === true,
  };
}

function namedOf(value: unknown): Named | null {
  const { id, created } = (value ?? {}) as Partial<Record<keyof Named, unknown>>;
  return typeof id === 'string' && typeof created === 'number' ? { id, created } : null;
}

/** An ability that a later version tells of besides is none of ours. */
function enginesOf(value: unknown): Engines {
  const { maxModelLen, ability, seed } = (value ?? {}) as Partial<Record<keyof Engines, unknown>>;
  const able = (ability ?? {}) as Partial<Record<keyof Ability, unknown>>;
  const names = Object.keys(noAbility) as (keyof Ability)[];
  return {
    maxModelLen: typeof maxModelLen === 'number' ? maxModelLen : null,
    ability: { ...noAbility, ...Object.fromEntries(names.map((name) => [name, able[name] === true])) },
    seed: Number(seed ?? 0),
  };
}

const textOrNull = (value: unknown): string | null => (typeof value === 'string' ? value : null);
