/**
 * Reads a request's JSON as vLLM's schemas do: values are converted where pydantic would (`"0.5"` is a number), and
 * all that cannot be is reported together. Fields that nobody asks for are ignored.
 */
import { invalidBody, invalidBodyText, type Problem } from './refusal.ts';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
export type JsonObject = { readonly [key: string]: Json };

export const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export function parseBody(raw: string, contentType: string | undefined): JsonObject {
  const mediaType = (contentType ?? '').toLowerCase().split(';')[0]!.trim();
  if (mediaType !== 'application/json')
    throw invalidBodyText(["  Unsupported Media Type: Only 'application/json' is allowed"], null);
  const value = parseJson(raw);
  if (isObject(value)) return value;
  const msg = 'Input should be a valid dictionary or object to extract fields from';
  throw invalidBody([{ type: 'model_attributes_type', loc: 'body', msg, input: inputOf(value) }]);
}

function parseJson(raw: string): Json {
  try {
    return JSON.parse(raw) as Json;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    const loc = `body.${firstBadToken(raw)}`;
    const ctx = "{'error': 'Expecting value'}";
    const input = '<dict of 0 items>';
    throw invalidBody([{ type: 'json_invalid', loc, msg: 'JSON decode error', input, ctx }]);
  }
}

/** Where reading stopped: the first character that begins no JSON token, else the end. */
function firstBadToken(raw: string): number {
  const token = /[\s{}[\],:]+|"(?:[^"\\\n]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;
  let at = 0;
  while (at < raw.length && token.test(raw)) at = token.lastIndex;
  return at;
}

/** How pydantic shows what it was given. */
function inputOf(value: Json): string {
  if (value === null) return 'None';
  if (Array.isArray(value)) return `<list of ${value.length} items>`;
  if (typeof value === 'object') return `<dict of ${Object.keys(value).length} items>`;
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  return String(value);
}

const trueWords = ['true', '1', 'yes', 'on', 't', 'y'];
const falseWords = ['false', '0', 'no', 'off', 'f', 'n'];

/** `name` is the field, dotted below the object; `ctx` as in a Problem. */
type Complaint = {
  readonly type: string;
  readonly name: string;
  readonly msg: string;
  readonly input: Json;
  readonly ctx?: string;
};

/** The fields of one object. Each reader returns null for a field that is missing, null or wrong. */
export class Fields {
  readonly #object: JsonObject;
  readonly #at: string;
  readonly #problems: Problem[];

  constructor(object: JsonObject, at = 'body', problems: Problem[] = []) {
    this.#object = object;
    this.#at = at;
    this.#problems = problems;
  }

  /** Throws if any field read so far was wrong. */
  verify(): void {
    if (this.#problems.length > 0) throw invalidBody(this.#problems);
  }

  raw(name: string): Json {
    return this.#object[name] ?? null;
  }

  complain(complaint: Complaint): void {
    const { name, input, ...rest } = complaint;
    this.#problems.push({ ...rest, loc: `${this.#at}.${name}`, input: inputOf(input) });
  }

  require(name: string): Json {
    const isMissing = this.#object[name] === undefined;
    if (isMissing) this.complain({ type: 'missing', name, msg: 'Field required', input: this.#object });
    return this.raw(name);
  }

  /** An object below this one; its complaints join these. */
  object(name: string): Fields | null {
    const value = this.raw(name);
    if (value === null) return null;
    if (isObject(value)) return new Fields(value, `${this.#at}.${name}`, this.#problems);
    const msg = 'Input should be a valid dictionary';
    this.complain({ type: 'dict_type', name, msg, input: value });
    return null;
  }

  number(name: string): number | null {
    return this.#numeric(name, 'number', 'float');
  }

  integer(name: string): number | null {
    const number = this.#numeric(name, 'integer', 'int');
    if (number === null || Number.isInteger(number)) return number;
    const msg = 'Input should be a valid integer, got a number with a fractional part';
    this.complain({ type: 'int_from_float', name, msg, input: number });
    return null;
  }

  #numeric(name: string, noun: string, kind: string): number | null {
    const value = this.raw(name);
    if (value === null || typeof value === 'number') return value;
    if (typeof value === 'boolean') return Number(value);
    const msg = `Input should be a valid ${noun}`;
    if (typeof value !== 'string') {
      this.complain({ type: `${kind}_type`, name, msg, input: value });
      return null;
    }
    const number = value.trim() === '' ? Number.NaN : Number(value);
    if (!Number.isNaN(number)) return number;
    const unable = `${msg}, unable to parse string as ${noun === 'integer' ? 'an' : 'a'} ${noun}`;
    this.complain({ type: `${kind}_parsing`, name, msg: unable, input: value });
    return null;
  }

  boolean(name: string): boolean | null {
    const value = this.raw(name);
    if (value === null || typeof value === 'boolean') return value;
    const word = String(value).toLowerCase();
    if (typeof value !== 'object' && trueWords.includes(word)) return true;
    if (typeof value !== 'object' && falseWords.includes(word)) return false;
    const msg = 'Input should be a valid boolean';
    if (typeof value === 'object') this.complain({ type: 'bool_type', name, msg, input: value });
    else
      this.complain({ type: 'bool_parsing', name, msg: `${msg}, unable to interpret input`, input: value });
    return null;
  }

  text(name: string): string | null {
    const value = this.raw(name);
    if (value === null || typeof value === 'string') return value;
    this.complain({ type: 'string_type', name, msg: 'Input should be a valid string', input: value });
    return null;
  }

  /** A single text counts as a list of one. */
  texts(name: string): readonly string[] {
    const value = this.raw(name);
    if (typeof value === 'string') return [value];
    return this.list(name, (one) => typeof one === 'string', 'string') as readonly string[];
  }

  integers(name: string): readonly number[] | null {
    if (this.raw(name) === null) return null;
    return this.list(name, (one) => Number.isInteger(one), 'integer') as readonly number[];
  }

  list(name: string, holds: (one: Json) => boolean, noun: string): readonly Json[] {
    const value = this.raw(name);
    if (value === null) return [];
    if (!Array.isArray(value)) {
      this.complain({ type: 'list_type', name, msg: 'Input should be a valid list', input: value });
      return [];
    }
    const list = value as readonly Json[];
    const wrong = list.findIndex((one) => !holds(one));
    if (wrong === -1) return list;
    const msg = `Input should be a valid ${noun}`;
    this.complain({ type: `${noun}_type`, name: `${name}.${wrong}`, msg, input: list[wrong]! });
    return [];
  }
}
