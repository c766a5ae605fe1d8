/** A plain generation as its client sees it: what the journal lets go of, in the shapes and amounts asked for. */
import { assert } from '../std/assert.ts';
import { done, partChunk, roleChunk, usageChunk, wholeAnswer } from './answer.ts';
import type { Chunk, Item, Json } from './chunk.ts';
import { take, type Journal } from './journal.ts';
import type { LossCause } from './loss.ts';

export type Verdict =
  | { readonly type: 'going' }
  /** The last token is there; usage and `[DONE]` may still come. */
  | { readonly type: 'closing' }
  | { readonly type: 'complete' }
  | { readonly type: 'lost'; readonly cause: LossCause }
  /** Cannot be told from ids after all, and nothing was delivered: ask again, untouched. */
  | { readonly type: 'unfit' };

export type Heard = { readonly events: readonly string[]; readonly verdict: Verdict };

const going: Heard = { events: [], verdict: { type: 'going' } };
const lost = (cause: LossCause): Heard => ({ events: [], verdict: { type: 'lost', cause } });

export function hear(journal: Journal, item: Item): Heard {
  switch (item.type) {
    case 'chunk':
      return hearChunk(journal, item.chunk);
    case 'done':
      return journal.finish === null ? lost('bare-done') : { events: [], verdict: { type: 'complete' } };
    case 'error':
      return journal.finish === null ? lost('error') : { events: [], verdict: { type: 'complete' } };
    case 'nonsense':
      return lost('nonsense');
  }
}

function hearChunk(journal: Journal, chunk: Chunk): Heard {
  journal.head ??= { id: chunk.id, created: chunk.created, model: chunk.model };
  journal.fingerprint ??= chunk.fingerprint;
  const [choice] = chunk.choices;
  if (choice === undefined) {
    journal.counted = chunk.usage;
    return going;
  }
  if (journal.finish !== null) return going;
  if (choice.finish === 'abort' || choice.finish === 'error') return lost(choice.finish);
  if (choice.foreign !== null && mustBeWhole(journal)) return { events: [], verdict: { type: 'unfit' } };
  const { text, cutOff } = take(journal, choice);
  const events = text === null ? [] : tell(journal, text, choice.foreign);
  if (cutOff) return { events, verdict: { type: 'complete' } };
  return { events, verdict: { type: journal.finish === null ? 'going' : 'closing' } };
}

/** Reasoning and calls are put together, and searched for stop strings, by the engine only. */
const mustBeWhole = ({ request, out }: Journal): boolean =>
  !request.streamed || (!out && request.stops.length > 0);

function tell(journal: Journal, text: string, foreign: Json | null): readonly string[] {
  const { request, head } = journal;
  if (!request.streamed) {
    journal.said.push(text);
    journal.idsOut = journal.ids.length;
    return [];
  }
  assert(head !== null, 'a chunk was heard');
  const { wants, endpoint } = request;
  const first = !journal.out;
  const promptIds = first && wants.tokenIds ? journal.promptIds : null;
  const role = roleChunk(head, promptIds, wants.continuousUsage ? usage(journal, 0) : null);
  const part = partChunk(endpoint, head, {
    text,
    foreign,
    ids: wants.tokenIds ? journal.ids.slice(journal.idsOut) : null,
    promptIds,
    finish: journal.finish,
    fingerprint: journal.finish !== null && !wants.usage ? journal.fingerprint : null,
    usage: wants.continuousUsage ? usage(journal, journal.ids.length) : null,
  });
  journal.idsOut = journal.ids.length;
  journal.out = true;
  return first && endpoint === 'chat' ? [role, part] : [part];
}

/** What is still owed to a streaming client once the last token is out. */
export function closing(journal: Journal): readonly string[] {
  const { request, head, fingerprint } = journal;
  if (!request.wants.usage || head === null) return [done];
  return [
    usageChunk(request.endpoint, head, { usage: usage(journal, journal.ids.length), fingerprint }),
    done,
  ];
}

export function answer(journal: Journal): string {
  const { request, head, finish, fingerprint, ids, promptIds } = journal;
  assert(head !== null && finish !== null, 'only a finished generation is told as a whole');
  const { tokenIds } = request.wants;
  return wholeAnswer(request.endpoint, head, {
    text: journal.said.join(''),
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
export function finishByLength(journal: Journal): readonly string[] {
  journal.finish = { reason: 'length', stopReason: null };
  const text = journal.pending;
  journal.pending = '';
  return tell(journal, text, null);
}
