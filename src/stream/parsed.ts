/**
 * A chat whose engine puts calls and reasoning together. What it says is passed on as it is, and its ids are kept; when
 * it is lost, another engine goes on from them by render, generate and derender. Between generating and telling lies a
 * question to derender, one at a time: tokens that came meanwhile go into the next, and after each there is a rest in
 * proportion to what it cost, since its cost grows with the answer and falls on the engine of everybody.
 */
import { assert } from '../std/assert.ts';
import { after, instant, never, type Instant } from '../std/time.ts';
import { done, roleChunk, usageChunk, type Finish, type Head } from './answer.ts';
import type { Chunk, Item, Json } from './chunk.ts';
import { firstLegOf, type LegRequest } from './continuation.ts';
import type { Journal } from './journal.ts';
import { pass, start, turn, type Mark } from './mark.ts';
import { heard, type Heard, type Said } from './plain.ts';
import {
  derenderLeg,
  generateLeg,
  readDerendered,
  readRendered,
  remainingOf,
  renderLeg,
  type Derendered,
} from './rendering.ts';
import type { ParsedRequest } from './request.ts';

/** Rest after a question, in times of what it took: derender is to have a third of the engine's one thread at most. */
const restFactor = 2;
const restMsMax = 500;
/** A question unanswered for this long is not answered, ms: the longest answers take a quarter of a second. */
const questionMs = 5_000;

/** What is asked of derender. `ids`: how many of `made`; 0: the state of all that the client has. */
type Question = { readonly ids: number; readonly ends: boolean; readonly at: Instant };

export type Parsed = {
  readonly request: ParsedRequest;
  head: Head | null;
  fingerprint: string | null;
  promptIds: readonly number[] | null;
  /** Of all tokens that the client was told of, in whatever words. */
  ids: number[];
  /** How many of them it was given as ids, or would have been. */
  idsOut: number;
  mark: Mark;
  /** Role chunks, kept back until a token follows. */
  opening: string[];
  out: boolean;
  /** Something was said without its ids: this answer cannot be continued. */
  unfit: boolean;
  finish: Finish | null;
  /** The engine has told its usage, and told it to the client. */
  counted: boolean;
  /** What render said; the same for every engine. */
  rendered: Json | null;
  /** Derender's, after `ids`; null: to be built. */
  telling: Json | null;
  continues: boolean;
  /** Of the engine of now: generated and not told. */
  made: number[];
  madeFinish: Finish | null;
  question: Question | null;
  restUntil: Instant;
};

export const newParsed = (request: ParsedRequest): Parsed => ({
  request,
  ...{ head: null, fingerprint: null, promptIds: null, ids: [], idsOut: 0, mark: start, opening: [] },
  ...{ out: false, unfit: false, finish: null, counted: false, rendered: null, telling: null },
  ...{ continues: false, made: [], madeFinish: null, question: null, restUntil: instant(0) },
});

/** A plain chat in which reasoning turned up. Its ids without text were kept back; they go out with the next chunk. */
export function parsedFrom(journal: Journal, request: ParsedRequest): Parsed {
  const { head, fingerprint, promptIds, ids, idsOut, mark, out } = journal;
  const { wants } = journal.request;
  const role = head === null || out ? [] : [roleChunk(head, wants.tokenIds ? promptIds : null, null)];
  return {
    ...newParsed(request),
    ...{ head, fingerprint, promptIds, idsOut, mark, out, opening: role, ids: [...ids] },
  };
}

export const isContinuable = ({ out, unfit, promptIds, ids }: Parsed): boolean =>
  !out || (!unfit && promptIds !== null && ids.length > 0);

/** Prepares for another engine: what was generated and not told is generated again. */
export function letGoOf(parsed: Parsed): void {
  if (!parsed.out) Object.assign(parsed, newParsed(parsed.request));
  Object.assign(parsed, { made: [], madeFinish: null, question: null, restUntil: instant(0) });
}

/** null: nothing is left to ask for. */
export function nextLegOf(parsed: Parsed): LegRequest | null {
  const { request, out, rendered, promptIds, ids } = parsed;
  parsed.continues = out;
  if (!out) return firstLegOf(request);
  if (rendered === null) return renderLeg(request);
  assert(promptIds !== null, 'only an answer with ids is continued');
  return remainingOf(rendered, ids.length) <= 0
    ? null
    : generateLeg(request, rendered, { promptIds, carried: ids });
}

/** Whether that was what render answers. */
export function takeRendered(parsed: Parsed, body: string): boolean {
  const rendered = parsed.continues && parsed.rendered === null ? readRendered(body) : null;
  parsed.rendered ??= rendered;
  return rendered !== null;
}

export function hearParsed(parsed: Parsed, item: Item): Heard {
  const ended = parsed.finish ?? parsed.madeFinish;
  const complete = heard({ type: parsed.finish === null ? 'going' : 'complete' });
  switch (item.type) {
    case 'chunk':
      return parsed.continues ? hearMade(parsed, item.chunk) : hearChunk(parsed, item.chunk, item.raw);
    case 'done':
      return ended === null ? heard({ type: 'lost', cause: 'bare-done' }) : complete;
    case 'error':
      return ended === null ? heard({ type: 'lost', cause: 'error' }) : complete;
    case 'nonsense':
      return heard({ type: 'lost', cause: 'nonsense' });
  }
}

function hearChunk(parsed: Parsed, chunk: Chunk, raw: string): Heard {
  parsed.head ??= { id: chunk.id, created: chunk.created, model: chunk.model };
  parsed.fingerprint ??= chunk.fingerprint;
  const [choice] = chunk.choices;
  const data = parsed.request.wants.tokenIds ? raw : JSON.stringify(withoutIds(chunk.json));
  if (choice === undefined) {
    parsed.counted = chunk.usage !== null;
    return { ...heard({ type: 'going' }), events: [{ data, mark: turn(parsed.mark, 'usage') }] };
  }
  if (choice.finish === 'abort' || choice.finish === 'error')
    return heard({ type: 'lost', cause: choice.finish });
  parsed.promptIds ??= choice.promptIds;
  const isOpening = choice.text === '' && choice.foreign === null && choice.ids === null;
  if (isOpening && choice.finish === null && !parsed.out) {
    parsed.opening.push(data);
    return heard({ type: 'going' });
  }
  if (choice.ids === null && !isOpening) parsed.unfit = true;
  parsed.ids.push(...(choice.ids ?? []));
  if (choice.finish !== null) parsed.finish = { reason: choice.finish, stopReason: choice.stopReason };
  const held = parsed.ids.length - parsed.idsOut > (choice.ids?.length ?? 0);
  const all = held && parsed.request.wants.tokenIds ? withIds(chunk.json, parsed) : data;
  return { ...heard({ type: parsed.finish === null ? 'going' : 'closing' }), events: say(parsed, all) };
}

/** What came of a continuation waits for derender. */
function hearMade(parsed: Parsed, { choices }: Chunk): Heard {
  const [choice] = choices;
  if (choice === undefined || parsed.madeFinish !== null) return heard({ type: 'going' });
  const { ids, finish, stopReason } = choice;
  if (finish === 'abort' || finish === 'error') return heard({ type: 'lost', cause: finish });
  parsed.made.push(...(ids ?? []));
  if (finish !== null) parsed.madeFinish = { reason: finish, stopReason };
  return heard({ type: 'going' });
}

/** What to ask derender now; null: nothing, or not yet. */
export function ask(parsed: Parsed, now: Instant): LegRequest | null {
  const { request, rendered, promptIds, ids, made, madeFinish, telling } = parsed;
  if (!parsed.continues || rendered === null || promptIds === null || parsed.question !== null) return null;
  if (telling === null) {
    parsed.question = { ids: 0, ends: false, at: now };
    return derenderLeg(request, promptIds, { ids, finish: null, stopReason: null }, null);
  }
  if (now < askAt(parsed)) return null;
  const { reason: finish, stopReason } = madeFinish ?? { reason: null, stopReason: null };
  parsed.question = { ids: made.length, ends: finish !== null, at: now };
  return derenderLeg(request, promptIds, { ids: made, finish, stopReason }, telling);
}

/** When there is something to ask; the end of an answer does not rest. */
function askAt({ made, madeFinish, finish, restUntil }: Parsed): Instant {
  if (madeFinish !== null) return finish === null ? instant(0) : never;
  return made.length === 0 ? never : restUntil;
}

/** By when to look again: to ask, or to give an answer up. */
export function wakeAt(parsed: Parsed): Instant {
  if (parsed.question !== null) return answerDue(parsed);
  return parsed.continues && parsed.telling !== null ? askAt(parsed) : never;
}

/** By when the question of now must be answered; `never` where none is open. */
export const answerDue = ({ question }: Parsed): Instant =>
  question === null ? never : after(question.at, questionMs);

/** Waits for the answer once more. */
export function wait(parsed: Parsed, now: Instant): void {
  if (parsed.question !== null) parsed.question = { ...parsed.question, at: now };
}

/** Its engine has said all, and the client has not heard it yet: silence means nothing now. */
export const isTelling = ({ madeFinish, finish }: Parsed): boolean => madeFinish !== null && finish === null;

/** Derender's answer. */
export function hearTold(
  parsed: Parsed,
  { status, body }: { readonly status: number; readonly body: string },
  now: Instant,
): Heard {
  const { question } = parsed;
  if (question === null) return heard({ type: 'going' });
  parsed.question = null;
  if (status !== 200) return heard({ type: 'lost', cause: 'status' });
  const derendered = readDerendered(body);
  if (derendered === null) return heard({ type: 'lost', cause: 'nonsense' });
  parsed.restUntil = after(now, Math.min(restMsMax, restFactor * (now - question.at)));
  parsed.telling = derendered.state;
  if (question.ids === 0 && !question.ends) return heard({ type: 'going' });
  return tell(parsed, question, derendered);
}

function tell(parsed: Parsed, { ids, ends }: Question, { choice }: Derendered): Heard {
  parsed.ids.push(...parsed.made.splice(0, ids));
  const reason = choice?.['finish_reason'];
  const { madeFinish, head, fingerprint, request } = parsed;
  assert(head !== null, 'an answer that is continued has begun');
  if (ends && madeFinish !== null)
    parsed.finish = { ...madeFinish, reason: typeof reason === 'string' ? reason : madeFinish.reason };
  const { finish } = parsed;
  const { wants } = request;
  const told = {
    ...{ id: head.id, object: 'chat.completion.chunk', created: head.created, model: head.model },
    choices: [
      {
        index: 0,
        delta: deltaOf(choice),
        logprobs: null,
        finish_reason: finish?.reason ?? null,
        ...(finish === null ? {} : { stop_reason: finish.stopReason }),
        token_ids: wants.tokenIds ? parsed.ids.slice(parsed.idsOut) : null,
      },
    ],
    ...(wants.continuousUsage ? { usage: usageOf(parsed) } : {}),
    ...(finish !== null && !wants.usage && fingerprint !== null ? { system_fingerprint: fingerprint } : {}),
  };
  const events = say(parsed, JSON.stringify(told));
  return { ...heard({ type: finish === null ? 'going' : 'complete' }), events };
}

/** The role was told by the first engine; what is null was not said. */
function deltaOf(choice: Json | null): Json {
  const delta = (choice?.['delta'] ?? {}) as Json;
  return Object.fromEntries(
    Object.entries(delta).filter(([name, value]) => name !== 'role' && value !== null && value !== undefined),
  );
}

function say(parsed: Parsed, data: string): readonly Said[] {
  const opening = parsed.opening.map((role) => ({ data: role, mark: start }));
  const added = parsed.ids.slice(parsed.idsOut);
  parsed.mark = added.length > 0 ? pass(parsed.mark, added) : turn(parsed.mark, 'finish');
  Object.assign(parsed, { opening: [], idsOut: parsed.ids.length, out: true });
  return [...opening, { data, mark: parsed.mark }];
}

function withoutIds(json: Json): Json {
  const choices = (json['choices'] as readonly Json[]).map((choice) =>
    'token_ids' in choice ? { ...choice, token_ids: null } : choice,
  );
  const isOpening = 'prompt_token_ids' in json;
  return { ...json, choices, ...(isOpening ? { prompt_token_ids: null, prompt_text: null } : {}) };
}

function withIds(json: Json, { ids, idsOut }: Parsed): string {
  const choices = (json['choices'] as readonly Json[]).map((choice) => ({
    ...choice,
    token_ids: ids.slice(idsOut),
  }));
  return JSON.stringify({ ...json, choices });
}

function usageOf({ promptIds, ids }: Parsed): Json {
  const [prompt, completion] = [promptIds?.length ?? 0, ids.length];
  return { prompt_tokens: prompt, total_tokens: prompt + completion, completion_tokens: completion };
}

/** What is still owed to the client once the last token is out, or once none may follow. */
export function closingOf(parsed: Parsed): readonly Said[] {
  const { request, head, fingerprint } = parsed;
  assert(head !== null, 'an answer that ends has begun');
  const last = parsed.finish === null ? finishByLength(parsed) : [];
  const usage = { usage: usageOf(parsed), fingerprint };
  const counts = request.wants.usage && !parsed.counted;
  const counted = counts ? [{ data: usageChunk('chat', head, usage), mark: turn(parsed.mark, 'usage') }] : [];
  return [...last, ...counted, { data: done, mark: turn(parsed.mark, 'done') }];
}

function finishByLength(parsed: Parsed): readonly Said[] {
  parsed.made = [];
  parsed.madeFinish = { reason: 'length', stopReason: null };
  return tell(parsed, { ids: 0, ends: true, at: never }, { state: {}, choice: null }).events;
}
