/**
 * How many tokens an answer had that is passed on as it is: what it says of itself, and where it says nothing, or not
 * yet, as many as its pieces show at least.
 */
import type { Choice, Chunk } from './chunk.ts';

const counted = /"(?:output|completion)_tokens":\s*(\d{1,9})(?!\d)/g;

/** What the end of an answer says; inside a text of it the quotes would be escaped. null: it does not say. */
export function answerTokensIn(end: string): number | null {
  const last = [...end.matchAll(counted)].at(-1);
  return last === undefined ? null : Number(last[1]);
}

/** With one more chunk of a stream. `news`: those of its choices that were not counted before. */
export function tally(tokens: number, { usage, choices }: Chunk, news: readonly Choice[] = choices): number {
  const shown = news.reduce((sum, choice) => sum + shownBy(choice), tokens);
  const said = usage?.['completion_tokens'];
  if (typeof said !== 'number' || !Number.isSafeInteger(said) || said < 0) return shown;
  // Beside a choice it may be that choice's alone, and behind all of them it is the answer's.
  return choices.length === 0 ? said : Math.max(shown, said);
}

/** A piece has one token at least, and more where a slow reader left some. */
function shownBy({ ids, text, foreign }: Choice): number {
  if (ids !== null && ids.length > 0) return ids.length;
  return text !== '' || foreign !== null ? 1 : 0;
}
