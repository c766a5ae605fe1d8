/**
 * The journal of one plain generation: what is needed to continue it on another engine so that the client cannot tell.
 *
 * `ids` are all tokens heard of; the first `safe` of them are what a continuation may build on, because their text is
 * complete: inside a character an engine would begin its answer with the whole prompt's text. Ids past `safe` have had
 * no text yet, so they are kept from the client too and are dropped at a loss; the next engine makes them again. So
 * what the client saw never has to be taken back: its ids end at or before `safe`.
 *
 * Text goes three ways from here: out to the client, into `pending` while it may be the beginning of a stop string,
 * and the last bit of it into `recent`, for matching stop strings and for knowing an echo when one comes.
 */
import { assert } from '../std/assert.ts';
import type { Json } from '../std/json.ts';
import type { Finish, Head } from './answer.ts';
import type { Choice } from './chunk.ts';
import { continuationLeg, firstLeg, remainingTokens, type LegRequest } from './continuation.ts';
import { isSame, pass, start, type Mark } from './mark.ts';
import type { PlainRequest } from './request.ts';
import { cutPoint, findStop, heldBackMax } from './stop.ts';

/** Characters of the text that are kept to recognize an echo by: more than any single token has. At most twice that. */
const recentCharsMin = 256;

export type Journal = {
  readonly request: PlainRequest;
  /** Of the first leg that was heard of. */
  head: Head | null;
  fingerprint: string | null;
  promptIds: readonly number[] | null;
  ids: number[];
  safe: number;
  /** False after a chunk of several tokens: its last token may be the beginning of a character. */
  certain: boolean;
  /** The continuation that runs now may begin with an echo of its prompt. */
  mayEcho: boolean;
  /** What the client cannot get from ids (reasoning, calls), or tokens without ids: this answer cannot be continued. */
  unfit: boolean;
  /** The engine leaves out a text that is empty. */
  wordless: boolean;
  /** Of all its text, also what is kept from the client. */
  chars: number;
  recent: string;
  pending: string;
  /** How many of `ids` the client was given, or would have been, and where that is. */
  idsOut: number;
  mark: Mark;
  /** How many of them were written down for other nodes; null: not even that it was born; Infinity: no more. */
  noted: number | null;
  /** Something of the answer has left; from then on `head` stands. Never true of an answer that is not streamed. */
  out: boolean;
  /** Text kept for an answer that is given as a whole. */
  readonly said: string[];
  continued: boolean;
  finish: Finish | null;
  /** As the engine counted; exact as long as nothing was continued. */
  counted: Json | null;
};

export const newJournal = (request: PlainRequest): Journal => ({
  request,
  head: null,
  fingerprint: null,
  promptIds: null,
  ids: [],
  safe: 0,
  certain: true,
  mayEcho: false,
  unfit: false,
  wordless: false,
  chars: 0,
  recent: '',
  pending: '',
  idsOut: 0,
  mark: start,
  noted: null,
  out: false,
  said: [],
  continued: false,
  finish: null,
  counted: null,
});

/** Whether it could go on at another engine if it were lost now. */
export const isContinuable = (journal: Journal): boolean =>
  !journal.out || (!journal.unfit && journal.promptIds !== null && journal.safe > 0);

/** Drops what no client saw and no engine can build on. */
export function rollBack(journal: Journal): void {
  if (!isContinuable(journal)) return;
  const startAgain = journal.unfit || journal.promptIds === null || journal.safe === 0;
  if (startAgain) {
    assert(!journal.out, 'an answer that has begun is not begun again');
    Object.assign(journal, newJournal(journal.request));
    return;
  }
  assert(journal.idsOut <= journal.safe, 'the client was given no id that a continuation would make again');
  journal.ids.length = journal.safe;
}

/**
 * Whether the client is behind its last ids, which have no text yet: it was told them in one chunk with others, and they
 * were made again one by one. Then they count as told, and the answer goes on behind them.
 */
export function meetClient(journal: Journal, at: Mark): boolean {
  const { ids, idsOut, mark } = journal;
  if (idsOut === ids.length || !isSame(pass(mark, ids.slice(idsOut)), at)) return false;
  Object.assign(journal, { idsOut: ids.length, safe: ids.length, mark: at, certain: false, out: true });
  return true;
}

/** What to ask the next engine for; null: nothing is left to generate. Call after `rollBack`. */
export function nextLeg(journal: Journal): LegRequest | null {
  const { request, promptIds, ids } = journal;
  if (journal.finish !== null) return null;
  if (promptIds === null || ids.length === 0) return firstLeg(request);
  if (remainingTokens(request, promptIds.length, ids.length) <= 0) return null;
  journal.mayEcho = !journal.certain || journal.safe < ids.length;
  journal.continued = true;
  return continuationLeg(request, { promptIds, carried: ids }, journal.mayEcho);
}

type Gain = {
  /** For the client, now: text is past any stop string that may still come. Null: nothing to say yet. */
  readonly text: string | null;
  /** What the chunk added to the answer's text, an echo taken off. */
  readonly added: string;
  /** The machine saw a stop string that the engine did not: it is to be cut off. */
  readonly cutOff: boolean;
};

/** Takes in one chunk's choice. The text that it returns is what the client may have. */
export function take(journal: Journal, choice: Choice): Gain {
  if (choice.promptIds !== null && !journal.continued) journal.promptIds = choice.promptIds;
  journal.wordless ||= choice.isWordless;
  const single = (choice.ids?.length ?? 0) === 1;
  for (const id of choice.ids ?? []) journal.ids.push(id);
  if (choice.foreign !== null || (choice.text !== '' && choice.ids === null)) journal.unfit = true;
  const added = withoutEcho(journal, choice.text);
  if (choice.text !== '') {
    journal.safe = journal.ids.length;
    journal.certain = single;
  }
  const stopped = matchStop(journal, added, single);
  journal.finish =
    stopped ?? (choice.finish === null ? null : { reason: choice.finish, stopReason: choice.stopReason });
  const cutOff = stopped !== null && choice.finish === null;
  const silent = choice.text === '' && choice.foreign === null && journal.finish === null;
  return { text: silent ? null : release(journal), added, cutOff };
}

/** Appends to the text; at a match it ends there, and the finish is returned. */
function matchStop(journal: Journal, added: string, singleToken: boolean): Finish | null {
  const { stops, includeStop, minTokens } = journal.request;
  const span = heldBackMax(stops);
  const before = span === 0 ? '' : journal.recent.slice(-span);
  const mayStop = stops.length > 0 && added !== '' && journal.ids.length > minTokens;
  const match = mayStop ? findStop(stops, { before, added, singleToken }) : null;
  journal.pending += added;
  journal.recent += added;
  journal.chars += added.length;
  const kept = Math.max(recentCharsMin, span);
  if (journal.recent.length > kept * 2) journal.recent = journal.recent.slice(-kept);
  if (match === null) return null;
  const past = before.length + added.length - (includeStop ? match.end : match.start);
  journal.pending = journal.pending.slice(0, Math.max(0, journal.pending.length - past));
  return { reason: 'stop', stopReason: match.stop };
}

/** Takes from `pending` what can no longer be part of a stop string, all of it at the end. */
function release(journal: Journal): string {
  const { stops, includeStop } = journal.request;
  const hold = journal.finish !== null || includeStop ? 0 : heldBackMax(stops);
  const cut = cutPoint(journal.pending, hold);
  const text = journal.pending.slice(0, cut);
  journal.pending = journal.pending.slice(cut);
  return text;
}

/**
 * An engine whose prompt ends inside a character says the whole prompt's text before the completed character, and behind
 * what the generation said so far begins what is new, with that character.
 */
function withoutEcho(journal: Journal, text: string): string {
  if (!journal.mayEcho || text === '') return text;
  journal.mayEcho = false;
  return text.slice(echoIn(journal, text));
}

/**
 * How much of `text` is an echo. Where the prompt's text is not known (a chat, or ids), the length must tell whether it is
 * one: a token's own text is far shorter than prompt and answer together.
 */
function echoIn({ request, recent, chars, promptIds }: Journal, text: string): number {
  const prompt = request.endpoint === 'completions' ? request.body['prompt'] : null;
  if (typeof prompt === 'string' && text.startsWith(prompt)) {
    const end = prompt.length + chars;
    return text.startsWith(recent, end - recent.length) && isWide(text, end) ? end : 0;
  }
  const least = Math.max(8, (promptIds?.length ?? 0) / 4);
  for (let at = text.lastIndexOf(recent); at >= least; at = text.lastIndexOf(recent, at - 1))
    if (isWide(text, at + recent.length)) return at + recent.length;
  return 0;
}

/** A character that tokens can end inside of, or what stands for a broken one. */
const isWide = (text: string, at: number): boolean => text.charCodeAt(at) > 127;
