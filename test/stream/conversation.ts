/** Runs a generation against a scripted engine under virtual time, breaking off its legs where the test says. */
import { readItem } from '../../src/stream/chunk.ts';
import type { LegRequest } from '../../src/stream/continuation.ts';
import type { Effect, Event, StreamFact } from '../../src/stream/events.ts';
import { deadline, step } from '../../src/stream/generation.ts';
import type { Said } from '../../src/stream/mark.ts';
import { recordIn, type LogRecord } from '../../src/stream/record.ts';
import type { Refusal } from '../../src/stream/refusal.ts';
import { readRequest, type Engines, type GenerationRequest } from '../../src/stream/request.ts';
import { noAbility } from '../../src/std/ability.ts';
import { init, type State } from '../../src/stream/state.ts';
import { memberId, type MemberId } from '../../src/std/member-id.ts';
import { instant, type Instant } from '../../src/std/time.ts';
import { respond, type Script } from './scripted-engine.ts';

/** What an engine says to the n-th request that it is sent, from 1 on, or to a question besides it. */
export type Engine = Script | ((request: LegRequest, leg: number) => readonly string[]);

/** How a leg ends before its answer does, and after how many events. */
export type Cut = {
  readonly after: number;
  readonly by:
    'eof' | 'reset' | 'error' | 'abort' | 'bare-done' | 'silence' | 'drain' | 'dead' | 'unreached' | 'status';
};

/** All ways in which a leg that has begun can end too early. */
export const causes = ['eof', 'reset', 'error', 'abort', 'bare-done', 'silence', 'drain', 'dead'] as const;

type SaidBy = Said & { readonly records: number };

export type Told = {
  readonly sent: readonly string[];
  /** The same with their places, and how many records there were by then. */
  readonly said: readonly SaidBy[];
  readonly records: readonly LogRecord[];
  readonly closed: boolean;
  readonly answer: { readonly status: number; readonly body: string } | null;
  readonly refusal: Refusal | null;
  readonly facts: readonly StreamFact[];
  readonly asked: readonly LegRequest[];
  readonly aborted: readonly number[];
};

/** A body as it comes, with what is known of the engines, for whoever reads a request. */
export const sentTo = (body: Record<string, unknown>, engines: Partial<Engines>) =>
  [
    { body, raw: JSON.stringify(body) },
    { maxModelLen: 4_096, ability: noAbility, seed: 1, ...engines },
    null,
  ] as const;

export const ask = (
  endpoint: 'chat' | 'completions',
  body: Record<string, unknown>,
  engines: Partial<Engines> = {},
): GenerationRequest => readRequest(endpoint, ...sentTo(body, engines));

export const errorEvent =
  '{"error":{"message":"EngineCore encountered an issue.","type":"InternalServerError","param":null,"code":500}}';

/** `cuts`: what became of each leg, in order; later legs run to their end. */
export function converse(
  request: GenerationRequest,
  engine: Engine,
  cuts: readonly (Cut | undefined)[],
  from: State = init(request, instant(0)),
): Told {
  let state = from;
  let now = instant(0);
  const told = {
    sent: [] as string[],
    said: [] as SaidBy[],
    records: [] as LogRecord[],
    closed: false,
    answer: null as Told['answer'],
    refusal: null as Refusal | null,
  };
  const facts: StreamFact[] = [];
  const asked: LegRequest[] = [];
  const aborted: number[] = [];
  const events: Event[] = [{ type: 'begin' }];

  function perform(effect: Effect): void {
    if (effect.type === 'send') {
      const { data, mark, ending } = effect;
      told.sent.push(data);
      if (mark !== null)
        told.said.push({ data, mark, ...(ending && { ending }), records: told.records.length });
    } else if (effect.type === 'log') told.records.push(...effect.records.map(recordIn));
    else if (effect.type === 'close') told.closed = true;
    else if (effect.type === 'answer') told.answer = { status: effect.status, body: effect.body };
    else if (effect.type === 'refuse') told.refusal = effect.refusal;
    else if (effect.type === 'fact') facts.push(effect.fact);
    else if (effect.type === 'abort') aborted.push(effect.leg);
    else if (effect.type === 'ask') {
      const [body = ''] = typeof engine === 'function' ? engine(effect.request, effect.leg) : [];
      events.splice(questionLag, 0, { type: 'told', leg: effect.leg, status: body === '' ? 0 : 200, body });
    } else if (effect.type === 'open') {
      asked.push(effect.request);
      events.push(...legEvents(engine, effect, cuts[asked.length - 1]));
    }
  }

  for (let next = events.shift(); next !== undefined; next = events.shift()) {
    now = instant(
      next.type === 'tick'
        ? Math.max(now, deadline(state))
        : now + (state.carrier.type === 'parsed' ? parsedStepMs : 1),
    );
    const leg = state.leg;
    const [moved, effects] = step(state, next, now);
    state = moved;
    for (const effect of effects) perform(effect);
    // Silence lasts until it is noticed.
    if (next.type === 'tick' && state.leg === leg && state.phase.phase !== 'over') events.unshift(next);
    // What waits for its time gets it.
    if (events.length === 0 && state.carrier.type === 'parsed' && state.phase.phase !== 'over')
      events.push({ type: 'tick' });
  }
  return { ...told, facts, asked, aborted };
}

function legEvents(engine: Engine, open: Extract<Effect, { type: 'open' }>, cut: Cut | undefined): Event[] {
  const { leg } = open;
  const member = memberOfLeg(leg);
  const placed: Event = { type: 'placed', leg, member };
  if (cut?.by === 'unreached') return [placed, { type: 'unreached', leg }];
  if (cut?.by === 'status') return [placed, { type: 'answer', leg, status: 500, body: errorEvent }];
  const said = typeof engine === 'function' ? engine(open.request, leg) : respond(engine, open.request);
  if (!open.request.streamed) {
    const answer: Event = { type: 'answer', leg, status: 200, body: said[0] ?? '' };
    return cut === undefined ? [placed, answer] : [placed, ...ending(cut, leg, member)];
  }
  const items = said.map((data): Event => ({ type: 'item', leg, item: readItem(data) }));
  const head: Event[] = [placed, { type: 'answered', leg }];
  const end: Event = { type: 'ended', leg, cause: 'eof' };
  if (cut === undefined) return [...head, ...items, end];
  const heard = [...head, ...items.slice(0, cut.after), ...ending(cut, leg, member)];
  // An engine that was ordered off, or that is slow to die, goes on talking: nobody listens.
  const ordered = cut.by === 'drain' || cut.by === 'dead';
  return ordered
    ? [...heard, ...items.slice(cut.after), end]
    : cut.by === 'silence'
      ? heard
      : [...heard, end];
}

/** Between two events of a chat that is told with rests: several tokens to a batch, and several batches. */
const parsedStepMs = 15;

/** Events of its leg that come before the answer to a question. */
const questionLag = 2;

export const memberOfLeg = (leg: number): MemberId => memberId(`m${leg}`);

function ending(cut: Cut, leg: number, member: MemberId): readonly Event[] {
  const item = (data: string): Event => ({ type: 'item', leg, item: readItem(data) });
  switch (cut.by) {
    case 'eof':
    case 'reset':
      return [{ type: 'ended', leg, cause: cut.by }];
    case 'error':
      return [item(errorEvent), item('[DONE]')];
    case 'abort':
      return [item('{"id":"x","choices":[{"index":0,"text":"","finish_reason":"abort","token_ids":[]}]}')];
    case 'bare-done':
      return [item('[DONE]')];
    case 'silence':
      return [{ type: 'tick' }];
    case 'drain':
    case 'dead':
      return [{ type: 'move', member, cause: cut.by, elsewhere: true }];
    case 'unreached':
    case 'status':
      return [];
  }
}

/** Everything that a client can put together from a stream. */
export function gathered(sent: readonly string[]) {
  const chunks = sent.filter((data) => data !== '[DONE]').map((data) => JSON.parse(data) as Gathered);
  const choices = chunks.flatMap((chunk) => chunk.choices ?? []);
  return {
    text: choices.map((choice) => choice.text ?? choice.delta?.content ?? '').join(''),
    ids: choices.flatMap((choice) => choice.token_ids ?? []),
    finish: choices.filter((c) => c.finish_reason !== null).map((c) => [c.finish_reason, c.stop_reason]),
    usage: chunks.findLast((chunk) => chunk.usage !== undefined)?.usage ?? null,
    heads: [...new Set(chunks.map((chunk) => `${chunk.id} ${chunk.created} ${chunk.model}`))],
    roles: choices.flatMap((choice) => choice.delta?.role ?? []),
    error: chunks.find((chunk) => chunk.error !== undefined)?.error ?? null,
    done: sent.at(-1) === '[DONE]',
  };
}

type Gathered = {
  readonly id?: string;
  readonly created?: number;
  readonly model?: string;
  readonly usage?: Record<string, unknown>;
  readonly error?: { readonly message: string };
  readonly choices?: readonly {
    readonly text?: string;
    readonly delta?: { readonly content?: string; readonly role?: string };
    readonly token_ids?: readonly number[] | null;
    readonly finish_reason: string | null;
    readonly stop_reason?: unknown;
  }[];
};

/** For stories: a generation that the test leads by the hand. */
export function lead(request: GenerationRequest) {
  let state: State = init(request, instant(0));
  let now: Instant = instant(0);
  return {
    at(ms: number, event: Event): readonly Effect[] {
      now = instant(ms);
      const [moved, effects] = step(state, event, now);
      state = moved;
      return effects;
    },
    item(ms: number, leg: number, data: string): readonly Effect[] {
      return this.at(ms, { type: 'item', leg, item: readItem(data) });
    },
    deadline: () => deadline(state),
    leg: () => state.leg,
    /** Others of its answer's choices have spoken. */
    bind: () => void (state.isBound = true),
    now: () => now,
  };
}
