/**
 * The simulated model, a pure function: the next token follows from all earlier ids and, for a sampled request, from
 * its seed and a position. Whoever knows the prompt's ids knows every token of the answer, and one wrong, missing or
 * doubled id changes everything after it.
 *
 * Two things of the past count. A hash of all ids so far scores every candidate, so each single token depends on
 * every earlier one. The place in the text (in a word, inside a character, after a sentence) says which candidates
 * there are, so the text can be pronounced and its characters are whole UTF-8. No place has fewer than ten.
 *
 * Greedy: the candidate with the best score. Sampled: the hash is stirred with the seed and with the absolute position
 * (vLLM's model runner V2: a continuation by ids goes on exactly) or with the number of tokens generated so far (a
 * generator that starts again with each request, as in V1: it does not).
 */
import { scramble } from '../../std/hash.ts';
import {
  bytesOf,
  decode,
  emojiHeadId,
  eosId,
  idOf,
  idOfByte,
  isSpecial,
  shortWords,
  suffixes,
  syllables,
  vocabularySize,
} from './vocabulary.ts';

/** Where a token stands. `owes…`: bytes that a UTF-8 character still lacks. */
type Place =
  | 'start'
  | 'word1'
  | 'word2'
  | 'wordEnd'
  | 'comma'
  | 'sentence'
  | 'space'
  | 'symbol'
  | 'owesOne'
  | 'owesOneSymbol'
  | 'owesTwoSymbol'
  | 'owesTwoEmoji'
  | 'owesThree';

/** All that the model keeps of the ids so far. */
export type Context = { readonly hash: number; readonly position: number; readonly place: Place };
export type Candidate = { readonly id: number; readonly weight: number };
export type RandomSource = 'position' | 'sequential';

/** An answer may end after a sentence once prompt and answer are so long, tokens: below it max_tokens decides. */
const mayEndAfter = 512;
/** The weight of a token that does not belong at the place: a logit_bias of 100 still brings it about. */
const foreignWeight = -50;

const of = (weight: number, ids: readonly number[]): readonly Candidate[] =>
  ids.map((id) => ({ id, weight }));
const bytesFrom = (from: number, to: number): readonly number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => idOfByte(from + i));

const inner = syllables.map(idOf);
const openers = [...syllables.map((syllable) => idOf(` ${syllable}`)), ...shortWords.map(idOf)];
const endings = suffixes.map(idOf);
const accent = idOfByte(0xc3);
const hanLeads = bytesFrom(0xe5, 0xe8);
const continuations = bytesFrom(0x80, 0xbf);
const [space, comma, stop, newline] = [' ', ',', '.', '\n'].map(idOf) as [number, number, number, number];

/** Weights are logarithms: at 0 a candidate is as likely as a syllable, at 2 seven times as likely. */
const afterSentence = [...of(0, openers), ...of(2, [space]), ...of(1, [newline])];
const candidatesByPlace: Readonly<Record<Place, readonly Candidate[]>> = {
  start: of(0, inner),
  word1: [...of(0, inner), ...of(0.5, endings), ...of(-1, openers), ...of(1.5, [accent, space])],
  word2: [...of(-1, inner), ...of(0.5, endings), ...of(0, openers), ...of(2, [space, comma, stop])],
  wordEnd: [...of(0, openers), ...of(1.5, [space, comma, stop])],
  comma: [...of(0, openers), ...of(2, [space])],
  sentence: afterSentence,
  space: [...of(1.5, hanLeads), ...of(2, [emojiHeadId]), ...of(-1, inner)],
  symbol: [...of(1.5, hanLeads), ...of(0, openers), ...of(2, [comma, stop])],
  owesOne: of(0, bytesFrom(0xa0, 0xbf)),
  owesOneSymbol: of(0, continuations),
  owesTwoSymbol: of(0, continuations),
  owesTwoEmoji: of(0, [...bytesFrom(0x8c, 0x93), idOfByte(0x98), idOfByte(0x9a)]),
  owesThree: of(0, bytesFrom(0x90, 0xbf)),
};
const mayEnd: readonly Candidate[] = [...afterSentence, { id: eosId, weight: 3 }];

const openerSet = new Set(openers.slice(0, syllables.length));
const shortWordSet = new Set(openers.slice(syllables.length));
const endingSet = new Set(endings);

export const beginning: Context = { hash: 0x9e3779b9, position: 0, place: 'start' };

export const contextOf = (ids: readonly number[]): Context => ids.reduce(extend, beginning);

export function extend(context: Context, id: number): Context {
  const stirred = Math.imul(context.hash ^ Math.imul(id + 1, 0xcc9e2d51), 0x1b873593);
  const hash = Math.imul((stirred << 13) | (stirred >>> 19), 5) + 0xe6546b64;
  return { hash: hash >>> 0, position: context.position + 1, place: placeAfter(context.place, id) };
}

function placeAfter(place: Place, id: number): Place {
  if (isSpecial(id) || id === newline) return 'start';
  if (openerSet.has(id)) return 'word1';
  if (shortWordSet.has(id) || endingSet.has(id)) return 'wordEnd';
  if (id === emojiHeadId) return 'owesTwoEmoji';
  const first = bytesOf(id)[0]!;
  if (first >= 0xf0) return 'owesThree';
  if (first >= 0xe0) return 'owesTwoSymbol';
  if (first >= 0xc0) return 'owesOne';
  if (first >= 0x80) return afterContinuation[place] ?? 'word2';
  if (id === space) return 'space';
  if (id === comma) return 'comma';
  if (id === stop) return 'sentence';
  return place === 'start' || place === 'space' ? 'word1' : place === 'word1' ? 'word2' : 'wordEnd';
}

/** What one more byte of a character makes of the place; anywhere else such a byte is no character. */
const afterContinuation: { readonly [place in Place]?: Place } = {
  owesThree: 'owesTwoEmoji',
  owesTwoEmoji: 'owesOneSymbol',
  owesTwoSymbol: 'owesOneSymbol',
  owesOneSymbol: 'symbol',
};

export function candidatesAt(context: Context): readonly Candidate[] {
  if (context.place === 'sentence' && context.position >= mayEndAfter) return mayEnd;
  return candidatesByPlace[context.place];
}

export const foreign = (id: number): Candidate => ({ id, weight: foreignWeight });

/** How a request draws. `drawn`: how many tokens it has drawn before this one. */
type Draw = {
  /** Null: greedy. */
  readonly seed: number | null;
  readonly source: RandomSource;
  readonly drawn: number;
};

export function noiseOf(context: Context, draw: Draw): number {
  if (draw.seed === null) return context.hash;
  const place = draw.source === 'position' ? context.position : draw.drawn;
  return scramble(context.hash ^ scramble(Math.imul(draw.seed, 0x85ebca6b) ^ scramble(place + 0x632be5ab)));
}

export function pick(candidates: readonly Candidate[], noise: number): number {
  let best = candidates[0]!.id;
  let bestScore = -Infinity;
  for (const candidate of candidates) {
    const score = scoreOf(candidate, noise);
    if (score <= bestScore) continue;
    best = candidate.id;
    bestScore = score;
  }
  return best;
}

/** Weight plus exponential noise: the best of many is then about as likely as its weight says. */
const scoreOf = ({ id, weight }: Candidate, noise: number): number =>
  weight - Math.log((scramble(noise ^ Math.imul(id + 1, 0x9e3779b1)) + 1) / 2 ** 32);

/** What `top_k` leaves of them. */
export const likeliest = (
  candidates: readonly Candidate[],
  { hash }: Context,
  count: number,
): readonly Candidate[] => candidates.toSorted((a, b) => scoreOf(b, hash) - scoreOf(a, hash)).slice(0, count);

export type Likelihood = { readonly id: number; readonly logprob: number; readonly rank: number };

/** What the model thinks of `id` after `context`, and its `count` best candidates; steering and seeds are left out. */
export function likelihoods(
  context: Context,
  id: number,
  count: number,
): { readonly chosen: Likelihood; readonly best: readonly Likelihood[] } {
  const scored = candidatesAt(context)
    .map((candidate) => ({ id: candidate.id, score: scoreOf(candidate, context.hash) }))
    .sort((a, b) => b.score - a.score);
  const foreignShare = (vocabularySize - scored.length) * Math.exp(foreignWeight);
  const total = Math.log(scored.reduce((sum, { score }) => sum + Math.exp(score), foreignShare));
  const ranked = scored.map(({ id, score }, i) => ({ id, logprob: score - total, rank: i + 1 }));
  const fallback = { id, logprob: foreignWeight - total, rank: ranked.length + 1 };
  return { chosen: ranked.find((one) => one.id === id) ?? fallback, best: ranked.slice(0, count) };
}

/** The `count` ids that follow a prompt, the end-of-turn token among them where the answer ends and goes on. */
export function expectedContinuation(request: {
  readonly promptIds: readonly number[];
  readonly count: number;
  /** Left out or at temperature 0: greedy. */
  readonly seed?: number | null;
  readonly temperature?: number;
}): number[] {
  const seed = request.temperature === 0 ? null : (request.seed ?? null);
  const ids: number[] = [];
  let context = contextOf(request.promptIds);
  for (let drawn = 0; drawn < request.count; drawn++) {
    const id = pick(candidatesAt(context), noiseOf(context, { seed, source: 'position', drawn }));
    ids.push(id);
    context = extend(context, id);
  }
  return ids;
}

/** The text of one token as logprobs show it: nothing while a character is incomplete, all of it with its last byte. */
export function tokenText(id: number, before: readonly number[]): string {
  const alone = decode([id], { skipSpecial: false });
  if (!alone.endsWith('\uFFFD')) return alone;
  for (let back = 1; back <= Math.min(3, before.length); back++) {
    const text = decode([...before.slice(-back), id], { skipSpecial: false });
    if (!text.includes('\uFFFD')) return [...text].at(-1)!;
  }
  return '';
}
