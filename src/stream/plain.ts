/** A plain generation as its client sees it: what the journal lets go of, in the shapes and amounts asked for. */
import { assert } from '../std/assert.ts';
import type { Json } from '../std/json.ts';
import { done, partChunk, roleChunk, usageChunk, wholeAnswer, type Head } from './answer.ts';
import type { Choice, Chunk, Item } from './chunk.ts';
import { take, type Journal } from './journal.ts';
import type { LossCause } from './loss.ts';
import { pass, passEvent, start, turn, type Said } from './mark.ts';
import type { LogRecord } from './record.ts';
import type { PlainRequest } from './request.ts';
import { cutPoint, heldBackMax } from './stop.ts';

export type Verdict =
  | { readonly type: 'going' }
  /** The last token is there; usage and `[DONE]` may still come. */
  | { readonly type: 'closing' }
  | { readonly type: 'complete' }
  | { readonly type: 'lost'; readonly cause: LossCause }
  /** Cannot be told from ids after all, and nothing was delivered: ask again, untouched. */
  | { readonly type: 'unfit' }
  /** Cannot be told as plain text any more; hear it as a parsed chat. */
  | { readonly type: 'parsed' };

/** `records`: what another entry node would need to know of it. */
export type Heard = {
  readonly events: readonly Said[];
  readonly records: readonly LogRecord[];
  readonly verdict: Verdict;
};

export const heard = (verdict: Verdict): Heard => ({ events: [], records: [], verdict });

const going = heard({ type: 'going' });
const lost = (cause: LossCause): Heard => heard({ type: 'lost', cause });

export function hear(journal: Journal, item: Item): Heard {
  switch (item.type) {
    case 'chunk':
      return hearChunk(journal, item.chunk);
    case 'done':
      return journal.finish === null ? lost('bare-done') : heard({ type: 'complete' });
    case 'error':
    case 'nonsense':
      return journal.finish === null ? lost(item.type) : heard({ type: 'complete' });
  }
}

function hearChunk(journal: Journal, chunk: Chunk): Heard {
  journal.head ??= headOf(chunk, journal.request);
  journal.fingerprint ??= chunk.fingerprint;
  const [choice] = chunk.choices;
  if (choice === undefined) {
    journal.counted = chunk.usage;
    return going;
  }
  if (journal.finish !== null) return going;
  if (choice.finish === 'abort' || choice.finish === 'error') return lost(choice.finish);
  if (choice.foreign !== null && journal.request.parsed !== null)
    return { ...heard({ type: 'parsed' }), records: noteSpoken(journal) };
  if (choice.foreign !== null && mustBeWhole(journal)) return heard({ type: 'unfit' });
  const { text, added, cutOff } = take(journal, choice);
  const records = note(journal, { added, single: choice.ids?.length === 1 });
  const events = text === null ? [] : tell(journal, text, choice.foreign);
  if (cutOff) return { events, records, verdict: { type: 'complete' } };
  return { events, records, verdict: { type: journal.finish === null ? 'going' : 'closing' } };
}

/** `created` of an engine is a moment later than ours, and ours is known to whoever has to tell the answer anew. */
const headOf = ({ id, created, model }: Chunk, { named }: PlainRequest): Head => ({
  ...(named ?? { id, created }),
  model,
});

/** What is kept from the client is not written down either: another entry node makes it again. */
function note(
  journal: Journal,
  { added, single }: { readonly added: string; readonly single: boolean },
): readonly LogRecord[] {
  const { ids, noted, head, fingerprint, promptIds, finish } = journal;
  if (journal.unfit || promptIds === null) return noteUnfit(journal);
  if (journal.safe < ids.length && finish === null) return [];
  assert(head !== null, 'a chunk was heard');
  const said: LogRecord = { type: 'said', ids: ids.slice(noted ?? 0), text: added, single, finish };
  journal.noted = ids.length;
  if (noted !== null) return [said];
  return [{ type: 'born', head, fingerprint, promptIds }, said];
}

/** Who goes on with it without knowing what follows would tell calls and reasoning as text. */
const noteSpoken = ({ noted }: Journal): readonly LogRecord[] =>
  noted === Infinity ? [] : [{ type: 'unfit', spoken: true }];

function noteUnfit(journal: Journal): readonly LogRecord[] {
  if (journal.noted === Infinity) return [];
  journal.noted = Infinity;
  return [{ type: 'unfit', spoken: false }];
}

/** The same words once more, from what was written down. */
export function retell(journal: Journal, record: LogRecord): readonly Said[] {
  switch (record.type) {
    case 'born':
      journal.head = record.head;
      journal.fingerprint = record.fingerprint;
      journal.promptIds = record.promptIds;
      journal.noted = 0;
      return [];
    case 'said':
      if (journal.head === null) journal.unfit = true;
      if (journal.unfit) return [];
      return choicesOf(record).flatMap((choice) => {
        const { text } = take(journal, choice);
        journal.noted = journal.ids.length;
        return text === null ? [] : tell(journal, text, null);
      });
    case 'closed':
      journal.fingerprint ??= record.fingerprint;
      journal.counted = record.counted;
      return [];
    case 'unfit':
      journal.unfit ||= !record.spoken;
      return [];
    case 'spoken':
    case 'passed':
      return [];
  }
}

/** Tokens that had no text of their own came one by one, before the one that completed the character. */
function choicesOf({ ids, text, single, finish }: Extract<LogRecord, { type: 'said' }>): readonly Choice[] {
  const last = single ? ids.length - 1 : 0;
  const rest = { promptIds: null, foreign: null, stopReason: null, finish: null, isWordless: false };
  const silent = ids.slice(0, Math.max(0, last)).map((id): Choice => ({ ...rest, ids: [id], text: '' }));
  const ending = finish === null ? {} : { finish: finish.reason, stopReason: finish.stopReason };
  return [...silent, { ...rest, ids: ids.slice(Math.max(0, last)), text, ...ending }];
}

/** Reasoning and calls are put together, and searched for stop strings, by the engine only. */
const mustBeWhole = ({ request, out }: Journal): boolean =>
  !request.streamed || (!out && request.stops.length > 0);

function tell(journal: Journal, text: string, foreign: Json | null): readonly Said[] {
  const { request, head } = journal;
  if (!request.streamed) {
    journal.said.push(text);
    journal.idsOut = journal.ids.length;
    return [];
  }
  assert(head !== null, 'a chunk was heard');
  const { wants, endpoint, role } = request;
  const first = !journal.out;
  const added = journal.ids.slice(journal.idsOut);
  const promptIds = first && wants.tokenIds ? journal.promptIds : null;
  const ends = journal.finish !== null;
  const isBoth = ends && added.length > 0;
  const behind = isBoth ? pass(journal.mark, added) : null;
  const data = partOf(journal, head, { text, foreign, ids: added, promptIds });
  journal.mark = passEvent(journal.mark, added, ends);
  journal.idsOut = journal.ids.length;
  journal.out = true;
  const ending = behind && { behind, data: partOf(journal, head, endOf(journal, text)) };
  const said: Said = { data, mark: journal.mark, ...(ending && { ending }) };
  if (!first || endpoint !== 'chat') return [said];
  const opening = { role, promptIds, usage: wants.continuousUsage ? usage(journal, 0) : null };
  return [{ data: roleChunk(head, opening), mark: start }, said];
}

/** What would have been kept back of the text as long as more might follow, for a stop string. */
function endOf({ request: { stops, includeStop } }: Journal, text: string): Words {
  const hold = includeStop ? 0 : heldBackMax(stops);
  return { text: text.slice(cutPoint(text, hold)), foreign: null, ids: [], promptIds: null };
}

type Words = {
  readonly text: string;
  readonly foreign: Json | null;
  readonly ids: readonly number[];
  readonly promptIds: readonly number[] | null;
};

function partOf(journal: Journal, head: Head, { text, foreign, ids, promptIds }: Words): string {
  const { request, finish, fingerprint } = journal;
  const { wants, endpoint } = request;
  return partChunk(endpoint, head, {
    ...{ foreign, promptIds, finish },
    text: wordsOf(journal, text),
    ids: wants.tokenIds ? ids : null,
    fingerprint: finish !== null && !wants.usage ? fingerprint : null,
    usage: wants.continuousUsage ? usage(journal, journal.ids.length) : null,
  });
}

const wordsOf = ({ wordless }: Journal, text: string): string | null =>
  text === '' && wordless ? null : text;

/** What is still owed to a streaming client once the last token is out. */
export function closing(journal: Journal): readonly Said[] {
  const { request, head, fingerprint, mark } = journal;
  const last = { data: done, mark: turn(mark, 'done') };
  if (!request.wants.usage || head === null) return [last];
  const counted = { usage: usage(journal, journal.ids.length), fingerprint };
  return [{ data: usageChunk(request.endpoint, head, counted), mark: turn(mark, 'usage') }, last];
}

/** What only the end of the engine's stream told. */
export const closed = ({ fingerprint, counted, continued }: Journal): LogRecord => ({
  type: 'closed',
  fingerprint,
  counted: continued ? null : counted,
});

export function answer(journal: Journal): string {
  const { request, head, finish, fingerprint, ids, promptIds } = journal;
  assert(head !== null && finish !== null, 'only a finished generation is told as a whole');
  const { tokenIds } = request.wants;
  return wholeAnswer(request.endpoint, head, {
    role: request.role,
    text: wordsOf(journal, journal.said.join('')),
    finish,
    ids: tokenIds ? ids : null,
    promptIds: tokenIds ? promptIds : null,
    usage: usage(journal, ids.length),
    fingerprint,
  });
}

/** The engine's own count, details and all, unless several engines took part or it was cut off before it counted. */
function usage(journal: Journal, completion: number): Json {
  if (journal.counted !== null && !journal.continued) return journal.counted;
  const prompt = journal.promptIds?.length ?? 0;
  return { prompt_tokens: prompt, total_tokens: prompt + completion, completion_tokens: completion };
}

/** The last token is out, but the engine died before it could say so: the answer had its full length. */
export function finishByLength(journal: Journal): Heard {
  journal.finish = { reason: 'length', stopReason: null };
  const text = journal.pending;
  journal.pending = '';
  const records = journal.head === null ? [] : note(journal, { added: '', single: false });
  return { events: tell(journal, text, null), records, verdict: { type: 'complete' } };
}
