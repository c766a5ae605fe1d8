/**
 * Puts the choices of one answer together, each of which an engine was asked for by itself: what each is told becomes
 * events of one stream, under the id and time of whichever spoke first, with one count of tokens and one end; or one
 * whole answer. Which choice speaks next is chance, so the order is written down, and told again it gives the same.
 */
import { isObject, parseObject, type Json } from '../std/json.ts';
import { done, usageChunk, type Head } from './answer.ts';
import type { Endpoint } from './chunk.ts';
import { beside, start, turn, type Mark, type Said } from './mark.ts';

/** Of one choice. */
type Part = {
  /** Where its own events are. */
  tokens: number;
  usage: Json | null;
  done: boolean;
  /** All of it, where it is not streamed. */
  body: string | null;
};

export type Together = {
  readonly endpoint: Endpoint;
  readonly wantsUsage: boolean;
  readonly parts: readonly Part[];
  /** Of the first event that was told; null: nothing is out. */
  head: Head | null;
  fingerprint: string | null;
  mark: Mark;
};

export const newTogether = (about: {
  readonly endpoint: Endpoint;
  readonly wantsUsage: boolean;
  readonly choices: number;
}): Together => ({
  endpoint: about.endpoint,
  wantsUsage: about.wantsUsage,
  parts: Array.from({ length: about.choices }, () => ({ tokens: 0, usage: null, done: false, body: null })),
  ...{ head: null, fingerprint: null, mark: start },
});

export const isOutTogether = ({ head }: Together): boolean => head !== null;
export const isDone = ({ parts }: Together): boolean => parts.every((part) => part.done);

/** What one choice's next event is to the client. Its usage is counted in, and its end is none before the last one's. */
export function tellOf(together: Together, choice: number, { data, mark }: Said): readonly Said[] {
  const part = together.parts[choice]!;
  if (data === done) {
    part.done = true;
    return isDone(together) ? closing(together) : [];
  }
  const json = parseObject(data) ?? {};
  const choices = Array.isArray(json['choices']) ? (json['choices'] as readonly Json[]) : [];
  if (choices.length === 0) {
    part.usage = isObject(json['usage']) ? json['usage'] : null;
    together.fingerprint ??= textOrNull(json['system_fingerprint']);
    return [];
  }
  together.head ??= headOf(json);
  together.mark = beside(together.mark, { choice, tokens: mark.tokens - part.tokens, hash: mark.hash });
  part.tokens = mark.tokens;
  const told = { ...json, ...together.head, choices: choices.map((one) => ({ ...one, index: choice })) };
  return [{ data: JSON.stringify(told), mark: together.mark }];
}

function closing({ endpoint, head, parts, fingerprint, mark, wantsUsage }: Together): readonly Said[] {
  const last = { data: done, mark: turn(mark, 'done') };
  if (!wantsUsage || head === null) return [last];
  const usage = usageOf(parts.map((part) => part.usage ?? {}));
  return [{ data: usageChunk(endpoint, head, { usage, fingerprint }), mark: turn(mark, 'usage') }, last];
}

/** Takes in the whole of one choice. null: others are missing; `nonsense`: that is no answer. */
export function wholeOf(
  together: Together,
  choice: number,
  body: string,
): { readonly body: string } | 'nonsense' | null {
  together.parts[choice]!.body = body;
  const bodies = together.parts.map((part) => part.body);
  if (!bodies.every((one) => one !== null)) return null;
  const wholes = bodies.map(parseObject).filter((one) => one !== null);
  const choices = wholes.map(({ choices: [only] = [] }: { choices?: readonly Json[] }) => only);
  const [first] = wholes;
  if (first === undefined || !choices.every(isObject) || choices.length < bodies.length) return 'nonsense';
  const usage = usageOf(wholes.map((one) => (isObject(one['usage']) ? one['usage'] : {})));
  const numbered = choices.map((one, index) => ({ ...one, index }));
  return { body: JSON.stringify({ ...first, choices: numbered, usage }) };
}

/** The prompt counts once, as one engine counts it that is asked for all of them. */
function usageOf(usages: readonly Json[]): Json {
  const [first = {}] = usages;
  const prompt = countIn(first, 'prompt_tokens');
  const completion = usages.reduce((sum, usage) => sum + countIn(usage, 'completion_tokens'), 0);
  const counts = { prompt_tokens: prompt, total_tokens: prompt + completion, completion_tokens: completion };
  if (!('completion_tokens_details' in first)) return { ...first, ...counts };
  const details = usages.map((usage) => usage['completion_tokens_details']);
  return { ...first, ...counts, completion_tokens_details: details.every(isObject) ? sumOf(details) : null };
}

function sumOf(details: readonly Json[]): Json {
  const names = Object.keys(details[0] ?? {});
  const total = (name: string): number => details.reduce((sum, one) => sum + countIn(one, name), 0);
  return Object.fromEntries(names.map((name) => [name, total(name)]));
}

const countIn = (json: Json, name: string): number => (typeof json[name] === 'number' ? json[name] : 0);
const textOrNull = (value: unknown): string | null => (typeof value === 'string' ? value : null);

const headOf = ({ id, created, model }: Json): Head => ({
  id: String(id),
  created: Number(created),
  model: String(model),
});
