/**
 * One answer of several choices, each of which is a generation of its own: with its own engine, which may be lost
 * without a word to the others, and its own legs, known by their number (leg x choices + choice). What they say goes out
 * together. One that cannot go on ends the answer: within one engine it would have ended all of them.
 */
import { earliest, never, type Instant } from '../std/time.ts';
import { beginRestoring, isMovable } from './carrier.ts';
import type { Account, Effect, Event, StreamFact } from './events.ts';
import * as generation from './generation.ts';
import type { Said } from './mark.ts';
import { recordIn, type Written } from './record.ts';
import { brokenOff, entryLeaves, takenOver, tell } from './refusal.ts';
import type { ApartRequest } from './request.ts';
import * as single from './state.ts';
import { isDone, isOutTogether, newTogether, tellOf, wholeOf, type Together } from './together.ts';

export type Choices = {
  readonly model: string;
  readonly begunAt: Instant;
  readonly parts: readonly single.State[];
  readonly together: Together;
  isOver: boolean;
};

type Step = readonly [Choices, readonly Effect[]];

export const init = (request: ApartRequest, now: Instant): Choices => ({
  model: request.model,
  begunAt: now,
  parts: request.parts.map((part) => single.init(part, now)),
  together: togetherOf(request),
  isOver: false,
});

const togetherOf = ({ endpoint, wantsUsage, parts }: ApartRequest): Together =>
  newTogether({ endpoint, wantsUsage, choices: parts.length });

/** As another entry node left it, with all that its client was told or will be; null: nobody can go on with it. */
export function restored(
  request: ApartRequest,
  records: readonly Written[],
  now: Instant,
): { readonly state: Choices; readonly events: readonly Said[] } | null {
  const ofChoice = (choice: number) =>
    records.filter((one) => one.type === 'choice' && one.choice === choice).map(recordIn);
  const restoring = request.parts.map((part, choice) => beginRestoring(part, ofChoice(choice)));
  const together = togetherOf(request);
  const events: Said[] = [];
  for (const written of records) {
    const choice = written.type === 'choice' ? written.choice : -1;
    const said = restoring[choice]?.retell(recordIn(written));
    if (said === undefined) return null;
    events.push(...said.flatMap((one) => tellOf(together, choice, one)));
  }
  const parts: single.State[] = [];
  for (const [choice, part] of request.parts.entries()) {
    const carrier = restoring[choice]!.end();
    if (carrier === null) return null;
    parts.push(single.resumed(part, carrier, now));
  }
  return { state: { ...init(request, now), parts, together }, events };
}

export const deadline = ({ isOver, parts }: Choices): Instant =>
  isOver ? never : earliest(...parts.map(generation.deadline));

export const account = ({ model, parts }: Choices): Account => {
  const accounts = parts.map(single.account);
  const tokens = accounts.reduce((sum, one) => sum + one.tokens, 0);
  return { model, tokens, moves: accounts.reduce((sum, one) => sum + one.moves, 0) };
};

export function step(state: Choices, event: Event, now: Instant): Step {
  if (state.isOver) return [state, []];
  switch (event.type) {
    case 'begin':
    case 'move':
    case 'tick':
      return [state, state.parts.flatMap((_, choice) => advance(state, { choice, event }, now))];
    case 'client-left':
      return end(state, [], { fact: 'stream.abandoned', ...account(state) });
    case 'cut':
      return onCut(state, event.resumes);
    case 'diverged':
      return fail(state, 'mismatch');
    case 'stumbled':
      return fail(state, 'defect');
    case 'taken':
      return end(state, tell(isOut(state), takenOver), handedOver(state, 'taken'));
    case 'placed':
    case 'unplaced':
    case 'unreached':
    case 'engine-dead':
    case 'answered':
    case 'item':
    case 'answer':
    case 'told':
    case 'ended': {
      const choice = event.leg % state.parts.length;
      const leg = Math.floor(event.leg / state.parts.length);
      return [state, advance(state, { choice, event: { ...event, leg } }, now)];
    }
  }
}

/** One choice goes a step on, and with it perhaps the answer to its end. */
function advance(
  state: Choices,
  { choice, event }: { readonly choice: number; readonly event: Event },
  now: Instant,
): readonly Effect[] {
  const part = state.parts[choice]!;
  if (state.isOver || part.phase.phase === 'over') return [];
  part.isBound ||= isOut(state);
  const [, effects] = generation.step(part, event, now);
  if (effects.some(isEndOfAll)) return endAs(state, choice, effects);
  return effects.flatMap((effect) => together(state, { choice, effect }, now));
}

/** What a choice ends by that is not to be told: it ends the answer. */
const isEndOfAll = (effect: Effect): boolean =>
  effect.type === 'refuse' ||
  (effect.type === 'answer' && effect.status >= 300) ||
  (effect.type === 'fact' && effect.fact.fact === 'stream.failed');

/** What becomes of an effect of one choice. */
function together(
  state: Choices,
  { choice, effect }: { readonly choice: number; readonly effect: Effect },
  now: Instant,
): readonly Effect[] {
  switch (effect.type) {
    case 'open':
    case 'ask':
    case 'abort':
      return [numbered(state, choice, effect)];
    case 'log':
      return [{ type: 'log', records: effect.records.map((one) => ofChoice(choice, one)) }];
    case 'send': {
      const { data, mark } = effect;
      if (mark === null) return [];
      return tellOf(state.together, choice, { data, mark }).map((said): Effect => ({
        type: 'send',
        ...said,
      }));
    }
    case 'answer': {
      const whole = wholeOf(state.together, choice, effect.body);
      if (whole === 'nonsense') return fail(state, 'nonsense')[1];
      return whole === null ? [] : [{ ...effect, body: whole.body }];
    }
    case 'close':
      return isDone(state.together) ? [effect] : [];
    case 'fact':
      return toldOf(state, { choice, fact: effect.fact }, now);
    case 'doubt':
    case 'ask-again':
    case 'refuse':
      return [effect];
  }
}

/** The end of one is none of the answer's. */
function toldOf(
  state: Choices,
  { choice, fact }: { readonly choice: number; readonly fact: StreamFact },
  now: Instant,
): readonly Effect[] {
  if (fact.fact === 'stream.finished') return finished(state, now);
  const isOfOne = fact.fact === 'stream.moved' || fact.fact === 'stream.unanswered';
  return [{ type: 'fact', fact: isOfOne ? { ...fact, choice } : fact }];
}

const ofChoice = (choice: number, written: Written): Written => ({
  ...{ type: 'choice', choice },
  record: recordIn(written),
});

const numbered = <E extends { readonly leg: number }>({ parts }: Choices, choice: number, effect: E): E => ({
  ...effect,
  leg: effect.leg * parts.length + choice,
});

function finished(state: Choices, now: Instant): readonly Effect[] {
  if (state.isOver || !state.parts.every(({ phase }) => phase.phase === 'over')) return [];
  state.isOver = true;
  const durationMs = Math.round(now - state.begunAt);
  return [{ type: 'fact', fact: { fact: 'stream.finished', durationMs, ...account(state) } }];
}

/** In its own words, where nothing of another choice is out. */
function endAs(state: Choices, choice: number, effects: readonly Effect[]): readonly Effect[] {
  const facts = effects.flatMap((effect) => (effect.type === 'fact' ? [effect.fact] : []));
  const failed = facts.find((fact) => fact.fact === 'stream.failed');
  const own = effects.filter(({ type }) => type === 'refuse' || type === 'answer');
  const cause = failed?.cause ?? (own[0]?.type === 'answer' ? 'status' : 'no-place');
  const why = brokenOff(cause === 'no-place' ? 'unreached' : cause);
  const told = isOut(state) || own.length === 0 ? tell(isOut(state), why) : own;
  const before = effects.filter(({ type }) => type === 'abort' || type === 'doubt');
  const aborts = before.map((effect) => (effect.type === 'abort' ? numbered(state, choice, effect) : effect));
  // Who was turned away from the beginning was never begun.
  const fact =
    failed === undefined && !isOut(state)
      ? null
      : ({ fact: 'stream.failed', cause, ...account(state) } as const);
  return [...aborts, ...end(state, told, fact)[1]];
}

function onCut(state: Choices, resumes: boolean): Step {
  const movable = state.parts.every(({ phase, carrier }) => phase.phase === 'over' || isMovable(carrier));
  const told = tell(isOut(state), entryLeaves);
  if (!resumes || !movable) return end(state, told, { fact: 'stream.entryLost', ...account(state) });
  return end(state, isOut(state) ? [{ type: 'close' }] : told, handedOver(state, 'drain'));
}

const fail = (state: Choices, cause: 'mismatch' | 'defect' | 'nonsense'): Step =>
  end(state, tell(isOut(state), brokenOff(cause)), {
    ...{ fact: 'stream.failed', cause },
    ...account(state),
  });

const handedOver = (state: Choices, why: 'drain' | 'taken'): StreamFact => ({
  ...{ fact: 'stream.handedOver', why },
  ...account(state),
});

/** All of it, at once: what still runs is let go of. */
function end(state: Choices, told: readonly Effect[], fact: StreamFact | null): Step {
  state.isOver = true;
  const aborts = state.parts.flatMap((part, choice) => {
    const isRunning = part.phase.phase !== 'over';
    return isRunning ? [numbered(state, choice, { type: 'abort', leg: part.leg } as const)] : [];
  });
  return [state, [...aborts, ...told, ...(fact === null ? [] : [{ type: 'fact', fact } as const])]];
}

const isOut = ({ together }: Choices): boolean => isOutTogether(together);
