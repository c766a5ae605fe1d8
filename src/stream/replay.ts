/**
 * An answer that is continued by asking the same again: for what an engine keeps in its head between two tokens (the
 * state of a grammar, of a generator, of a penalty) and no token id gives back. The next engine says everything from
 * the beginning; what the client has is compared and swallowed, and what goes beyond it is passed on, under the id and
 * time of the first engine. Both say the same where each token is the likeliest one or drawn with one seed; where they
 * do not, the client is told by an error event rather than by an answer that contradicts itself.
 */
import type { Json } from '../std/json.ts';
import { done } from './answer.ts';
import type { Chunk, Item } from './chunk.ts';
import { pathOf, type LegRequest } from './continuation.ts';
import type { LossCause } from './loss.ts';
import { passText, start, turn, type Mark, type Said } from './mark.ts';
import { heard, type Heard } from './plain.ts';
import type { ReplayRequest } from './request.ts';
import { cutChoice, strandsOf, type Strand } from './strands.ts';
import { tally } from './tally.ts';

/** What the client has of one choice. */
type Part = {
  readonly strands: Record<string, string | unknown[]>;
  begun: boolean;
  finish: string | null;
};

export type Replay = {
  readonly request: ReplayRequest;
  /** Of the first chunk that the client was given. */
  head: { readonly id: unknown; readonly created: unknown } | null;
  /** By the choice's index. */
  readonly said: Record<number, Part>;
  /** Characters, list items and ends that the client has; it grows with every word. */
  units: number;
  /** Of the last event: chunks are passed on as they were cut, so events are counted, and not tokens. */
  mark: Mark;
  /** Of what the client has. */
  tokens: number;
  /** The usage chunk has gone out. */
  counted: boolean;
  /** How far the engine of now has come, by choice and strand. */
  heard: Record<number, Record<string, number>>;
  /** The same in all, counted as `units` are: what the client has and what it has not. */
  reached: number;
  /** The engine of now has said something of the answer. */
  speaks: boolean;
  /** It is not the first: it begins with what the client may have. */
  again: boolean;
};

export const newReplay = (request: ReplayRequest): Replay => ({
  request,
  head: null,
  said: {},
  units: 0,
  tokens: 0,
  mark: start,
  counted: false,
  heard: {},
  reached: 0,
  speaks: false,
  again: false,
});

/** null: everything was said, and `[DONE]` needs no engine. */
export function nextReplay(replay: Replay): LegRequest | null {
  const { endpoint, raw } = replay.request;
  return isComplete(replay) ? null : { path: pathOf(endpoint), body: raw, streamed: true };
}

/** Prepares for the next engine. */
export function rewind(replay: Replay): void {
  replay.heard = {};
  replay.reached = 0;
  replay.speaks = false;
  replay.again = replay.head !== null;
}

export const isOutOf = ({ head }: Replay): boolean => head !== null;

/** Every choice has its end, and who asked for the usage has that. */
function isComplete({ request, said, counted }: Replay): boolean {
  const ended = Object.values(said).filter(({ finish }) => finish !== null).length;
  return ended >= request.choices && (counted || !request.wantsUsage);
}

const lost = (cause: LossCause): Heard => heard({ type: 'lost', cause });

export function hearAgain(replay: Replay, item: Item): Heard {
  switch (item.type) {
    case 'chunk':
      return hearChunk(replay, item.chunk, item.raw);
    case 'done':
      return isComplete(replay) ? heard({ type: 'complete' }) : lost('bare-done');
    case 'error':
    case 'nonsense':
      return isComplete(replay) ? heard({ type: 'complete' }) : lost(item.type);
  }
}

function hearChunk(replay: Replay, chunk: Chunk, raw: string): Heard {
  for (const cause of ['abort', 'error'] as const) {
    if (chunk.choices.some(({ finish }) => finish === cause)) return lost(cause);
  }
  const { json } = chunk;
  const parts = (json['choices'] as readonly Json[]).map((choice) => hearChoice(replay, choice));
  if (parts.includes('differs')) return lost('mismatch');
  const news = chunk.choices.filter((_, i) => parts[i] !== null);
  replay.tokens = tally(replay.tokens, chunk, news);
  const isUsage = parts.length === 0 && chunk.usage !== null;
  const isNews = isUsage ? !replay.counted : parts.some((choice) => choice !== null);
  if (isUsage) replay.counted = true;
  const verdict = { type: isComplete(replay) ? 'closing' : 'going' } as const;
  if (!replay.again) {
    replay.head ??= { id: json['id'], created: json['created'] };
    return { ...heard(verdict), events: [say(replay, raw)] };
  }
  if (!isNews) return heard(verdict);
  const choices = parts.filter((choice) => choice !== null);
  return { ...heard(verdict), events: [say(replay, JSON.stringify({ ...json, ...replay.head, choices }))] };
}

/** What of it the client does not have yet; null: nothing. */
function hearChoice(replay: Replay, choice: Json): Json | 'differs' | null {
  const index = Number(choice['index'] ?? 0);
  const said = (replay.said[index] ??= { strands: {}, begun: false, finish: null });
  const past = (replay.heard[index] ??= {});
  const overlaps: Record<string, number> = {};
  const { begun } = said;
  let isNews = !begun;
  said.begun = true;
  for (const strand of strandsOf(choice)) {
    replay.speaks = true;
    const overlap = compare(said, past[strand.name] ?? 0, strand);
    if (overlap === null) return 'differs';
    overlaps[strand.name] = overlap;
    past[strand.name] = (past[strand.name] ?? 0) + strand.value.length;
    replay.reached += strand.value.length;
    const rest = strand.value.slice(overlap);
    if (rest.length > 0 && said.finish !== null) return 'differs';
    isNews ||= rest.length > 0;
    replay.units += rest.length;
    keep(said, strand.name, rest);
  }
  const ends = endOf(said, past, choice);
  if (ends === 'differs') return 'differs';
  if (typeof choice['finish_reason'] === 'string') replay.reached += 1;
  if (!isNews && !ends) return null;
  if (ends) replay.units += 1;
  return replay.again ? cutChoice(choice, { begun, heardOf: (name) => overlaps[name] ?? 0 }) : choice;
}

/** How much of the strand's new piece the client has already; null: it has something else. */
function compare(said: Part, past: number, { name, value, compared }: Strand): number | null {
  const before = said.strands[name]?.slice(past, past + value.length) ?? '';
  if (!compared) return before.length;
  const same = value.slice(0, before.length);
  const equal =
    typeof before === 'string' ? before === same : JSON.stringify(before) === JSON.stringify(same);
  return equal || before.length === 0 ? before.length : null;
}

function keep(said: Part, name: string, rest: string | readonly unknown[]): void {
  const before = said.strands[name];
  if (typeof rest === 'string') said.strands[name] = ((before as string | undefined) ?? '') + rest;
  else if (before === undefined) said.strands[name] = [...rest];
  else (before as unknown[]).push(...rest);
}

/** Whether the choice ends here for the client; it may not end before all that was said. */
function endOf(said: Part, past: Record<string, number>, choice: Json): boolean | 'differs' {
  const finish = choice['finish_reason'];
  if (typeof finish !== 'string') return false;
  const isShort = Object.entries(said.strands).some(([name, value]) => (past[name] ?? 0) < value.length);
  if (isShort || (said.finish !== null && said.finish !== finish)) return 'differs';
  const isFirst = said.finish === null;
  said.finish = finish;
  return isFirst;
}

/** Still owed to the client once the last token is out. */
export const closingAgain = ({ mark }: Replay): readonly Said[] => [{ data: done, mark: turn(mark, 'done') }];

function say(replay: Replay, data: string): Said {
  replay.mark = passText(replay.mark, data);
  return { data, mark: replay.mark };
}
