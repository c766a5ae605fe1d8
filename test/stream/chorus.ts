/**
 * Runs an answer of several choices against scripted engines under virtual time: whose word comes next is drawn from a
 * seed, and legs break off where the test says.
 */
import assert from 'node:assert/strict';
import { instant, type Instant } from '../../src/std/time.ts';
import { readAnswer } from '../../src/stream/apart.ts';
import { readItem } from '../../src/stream/chunk.ts';
import type { LegRequest } from '../../src/stream/continuation.ts';
import type { Effect, Event, StreamFact } from '../../src/stream/events.ts';
import { begun, choiceOf, step, type AnswerState } from '../../src/stream/machine.ts';
import type { Said } from '../../src/stream/mark.ts';
import type { Written } from '../../src/stream/record.ts';
import type { Refusal } from '../../src/stream/refusal.ts';
import type { ApartRequest, Engines } from '../../src/stream/request.ts';
import { draw, type Rng } from '../../src/std/random.ts';
import { memberOfLeg, sentTo } from './conversation.ts';

/** What an engine says to the request of one choice. */
export type Singer = (request: LegRequest, choice: number) => readonly string[];

/** After so many events a leg of this choice ends; of several for one choice each is for one leg. */
type Break = { readonly choice: number; readonly after: number; readonly by: 'eof' | 'error' | 400 | 503 };

export type Sung = {
  readonly sent: readonly string[];
  /** With their places, and how many records there were by then. */
  readonly said: readonly (Said & { readonly records: number })[];
  readonly records: readonly Written[];
  readonly closed: boolean;
  readonly answer: { readonly status: number; readonly body: string } | null;
  readonly refusal: Refusal | null;
  readonly facts: readonly StreamFact[];
  readonly asked: readonly { readonly choice: number; readonly request: LegRequest }[];
  /** Legs that were in the middle of their answer, and not aborted, when the client had its last word. */
  readonly left: number;
};

export const reading = (
  endpoint: 'chat' | 'completions',
  body: Record<string, unknown>,
  engines: Partial<Engines> = {},
) => readAnswer(endpoint, ...sentTo(body, engines));

export function sing(
  request: ApartRequest,
  singer: Singer,
  options: {
    readonly seed?: number;
    readonly breaks?: readonly Break[];
    readonly from?: AnswerState;
    /** What comes when so many events were told. */
    readonly then?: { readonly after: number; readonly event: Event };
  } = {},
): Sung {
  const breaks = [...(options.breaks ?? [])];
  let state = options.from ?? begun(request, instant(0));
  let now: Instant = instant(0);
  let rng: Rng = { seed: options.seed ?? 1 };
  const told = { sent: [] as string[], said: [] as (Said & { records: number })[], records: [] as Written[] };
  const end = { closed: false, answer: null as Sung['answer'], refusal: null as Refusal | null };
  const facts: StreamFact[] = [];
  const asked: { choice: number; request: LegRequest }[] = [];
  const legs = new Map<number, Event[]>();
  let left: number | null = null;

  function perform(effect: Effect): void {
    if (effect.type === 'send') {
      assert(!end.closed, 'nothing is told after the end');
      told.sent.push(effect.data);
      const { data, mark } = effect;
      if (mark !== null) told.said.push({ data, mark, records: told.records.length });
    } else if (effect.type === 'log') told.records.push(...effect.records);
    else if (effect.type === 'close') end.closed = true;
    else if (effect.type === 'answer') end.answer = { status: effect.status, body: effect.body };
    else if (effect.type === 'refuse') end.refusal = effect.refusal;
    else if (effect.type === 'fact') facts.push(effect.fact);
    else if (effect.type === 'abort') legs.delete(effect.leg);
    else if (effect.type === 'open') {
      const choice = choiceOf(state, effect.leg);
      asked.push({ choice, request: effect.request });
      const at = breaks.findIndex((one) => one.choice === choice);
      legs.set(
        effect.leg,
        legEvents(effect, singer(effect.request, choice), breaks.splice(at, at < 0 ? 0 : 1)[0]),
      );
    }
  }

  const deliver = (event: Event): void => {
    now = instant(now + 1);
    const [next, effects] = step(state, event, now);
    state = next;
    for (const effect of effects) perform(effect);
    const isOver = end.closed || end.answer !== null || end.refusal !== null || facts.some(isEnding);
    if (isOver) left ??= [...legs.values()].filter((events) => events.length > 1).length;
  };

  deliver({ type: 'begin' });
  let then = options.then;
  while (legs.size > 0) {
    const [pick, drawn] = draw(rng, legs.size);
    rng = drawn;
    const [leg, events] = [...legs][pick]!;
    const event = events.shift();
    if (event === undefined) legs.delete(leg);
    else deliver(event);
    if (then === undefined || told.said.length < then.after) continue;
    deliver(then.event);
    then = undefined;
  }
  return { ...told, ...end, facts, asked, left: left ?? legs.size };
}

const isEnding = ({ fact }: StreamFact): boolean => fact !== 'stream.moved' && fact !== 'stream.unanswered';

function legEvents(
  { leg }: Extract<Effect, { type: 'open' }>,
  said: readonly string[],
  ends: Break | undefined,
): Event[] {
  const placed: Event = { type: 'placed', leg, member: memberOfLeg(leg) };
  if (typeof ends?.by === 'number')
    return [placed, { type: 'answer', leg, status: ends.by, body: '{"error":{"message":"no"}}' }];
  const items = said.map((data): Event => ({ type: 'item', leg, item: readItem(data) }));
  const heard = ends === undefined ? items : items.slice(0, ends.after);
  const last: Event =
    ends?.by === 'error'
      ? { type: 'item', leg, item: readItem('{"error":{"message":"gone","code":500}}') }
      : { type: 'ended', leg, cause: 'eof' };
  return [placed, { type: 'answered', leg }, ...heard, last];
}

type Chunk = {
  readonly id: string;
  readonly created: number;
  readonly choices?: readonly {
    readonly index: number;
    readonly text?: string;
    readonly delta?: { readonly role?: string; readonly content?: string };
    readonly token_ids?: readonly number[] | null;
    readonly finish_reason: string | null;
  }[];
  readonly usage?: Record<string, number>;
  readonly error?: { readonly message: string };
};

/** What a client can put together, choice by choice. */
export function parted(sent: readonly string[]) {
  const chunks = sent.filter((data) => data !== '[DONE]').map((data) => JSON.parse(data) as Chunk);
  const pieces = chunks.flatMap((chunk) => chunk.choices ?? []);
  const indices = [...new Set(pieces.map(({ index }) => index))].sort((a, b) => a - b);
  return {
    choices: indices.map((index) => {
      const own = pieces.filter((piece) => piece.index === index);
      return {
        index,
        text: own.map(({ text, delta }) => text ?? delta?.content ?? '').join(''),
        ids: own.flatMap((piece) => piece.token_ids ?? []),
        finish: own.flatMap(({ finish_reason: finish }) => (finish === null ? [] : [finish])),
        roles: own.filter(({ delta }) => delta?.role !== undefined).length,
      };
    }),
    heads: new Set(
      chunks.filter(({ error }) => error === undefined).map(({ id, created }) => `${id} ${created}`),
    ).size,
    usage: chunks.flatMap(({ usage }) => (usage === undefined ? [] : [usage])),
    errors: chunks.filter(({ error }) => error !== undefined).length,
    done: sent.filter((data) => data === '[DONE]').length,
    endsDone: sent.at(-1) === '[DONE]',
  };
}
