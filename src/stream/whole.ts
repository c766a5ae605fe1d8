/**
 * A generation that is passed on untouched. What the client has seen cannot be said again by another engine, so it is
 * protected only until its first word: the empty chunks that open a chat are kept back until something follows them,
 * and a request of which nothing was delivered is repeated as a whole elsewhere.
 */
import { isObject, parseObject } from '../std/json.ts';
import { done } from './answer.ts';
import type { Item } from './chunk.ts';
import { pathOf, type LegRequest } from './continuation.ts';
import { passText, start, turn, type Mark, type Said } from './mark.ts';
import { heard, type Heard } from './plain.ts';
import type { WholeRequest } from './request.ts';
import { answerTokensIn, tally } from './tally.ts';

/** Opening chunks that are kept back: one a choice, and vLLM takes no more choices than this. */
const openingMax = 128;

export type Whole = {
  readonly request: WholeRequest;
  /** Chunks without content, in order; at most `openingMax`, then they go out. */
  opening: string[];
  finished: boolean;
  out: boolean;
  /** Of the answer, as far as it is known. */
  tokens: number;
  mark: Mark;
};

export const newWhole = (request: WholeRequest): Whole => ({
  request,
  opening: [],
  finished: false,
  out: false,
  tokens: 0,
  mark: start,
});

export const wholeLeg = ({ endpoint, raw, streamed }: WholeRequest): LegRequest => ({
  path: pathOf(endpoint),
  body: raw,
  streamed,
});

export function hearWhole(whole: Whole, item: Item): Heard {
  switch (item.type) {
    case 'done':
      return whole.finished
        ? { ...heard({ type: 'complete' }), events: [...flush(whole), say(whole, done)] }
        : heard({ type: 'lost', cause: 'bare-done' });
    case 'error':
      return heard({ type: 'lost', cause: 'error' });
    case 'nonsense':
      return heard({ type: 'lost', cause: 'nonsense' });
    case 'chunk':
      return hearChunk(whole, item);
  }
}

function hearChunk(whole: Whole, { chunk, raw }: Extract<Item, { type: 'chunk' }>): Heard {
  const reasons = chunk.choices.map(({ finish }) => finish);
  for (const cause of ['abort', 'error'] as const) {
    if (reasons.includes(cause)) return heard({ type: 'lost', cause });
  }
  whole.tokens = tally(whole.tokens, chunk);
  whole.finished ||= reasons.some((reason) => reason !== null);
  const isOpening =
    chunk.choices.length > 0 &&
    chunk.choices.every((c) => c.text === '' && c.foreign === null && c.finish === null && c.ids === null);
  if (isOpening && !whole.out && whole.opening.length < openingMax) {
    whole.opening.push(raw);
    return heard({ type: 'going' });
  }
  return { ...heard({ type: 'going' }), events: [...flush(whole), say(whole, raw)] };
}

function flush(whole: Whole): readonly Said[] {
  const held = whole.opening;
  whole.opening = [];
  whole.out = true;
  return held.map((raw) => say(whole, raw));
}

/** Its tokens are not known, so its events are counted. */
function say(whole: Whole, data: string): Said {
  whole.mark = data === done ? turn(whole.mark, 'done') : passText(whole.mark, data);
  return { data, mark: whole.mark };
}

/** It came in one piece. */
export function countWhole(whole: Whole, body: string): void {
  whole.tokens = answerTokensIn(body) ?? 0;
}

/** A whole JSON answer can be broken too: a stopping vLLM gives 200, a cut text and the finish reason `abort`. */
export function isAborted(body: string): boolean {
  if (!body.includes('"abort"')) return false;
  const choices = parseObject(body)?.['choices'];
  return (
    Array.isArray(choices) &&
    choices.some((choice) => isObject(choice) && choice['finish_reason'] === 'abort')
  );
}
