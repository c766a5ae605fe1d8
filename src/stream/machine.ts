/** The machine of one answer: of a single generation, as nearly all are, or of several choices side by side. */
import type { Instant } from '../std/time.ts';
import { restore, tokensHeard, wayOf } from './carrier.ts';
import * as choices from './choices.ts';
import type { Choices } from './choices.ts';
import type { Account, Effect, Event, Way } from './events.ts';
import * as generation from './generation.ts';
import type { Said } from './mark.ts';
import type { Written } from './record.ts';
import type { AnswerRequest } from './request.ts';
import * as single from './state.ts';
import type { State } from './state.ts';

export type AnswerState = State | Choices;

export const wake = generation.wake;

export const begun = (request: AnswerRequest, now: Instant): AnswerState =>
  request.way === 'apart' ? choices.init(request, now) : single.init(request, now);

export const deadline = (state: AnswerState): Instant =>
  'parts' in state ? choices.deadline(state) : generation.deadline(state);

export const step = (
  state: AnswerState,
  event: Event,
  now: Instant,
): readonly [AnswerState, readonly Effect[]] =>
  'parts' in state ? choices.step(state, event, now) : generation.step(state, event, now);

/** Which of its generations a leg is of. */
export const choiceOf = (state: AnswerState, leg: number): number =>
  'parts' in state ? leg % state.parts.length : 0;

export const accountOf = (state: AnswerState): Account =>
  'parts' in state ? choices.account(state) : single.account(state);

export const tokensOf = (state: AnswerState): number =>
  'parts' in state ? choices.account(state).tokens : tokensHeard(state.carrier);

/** Of several choices one at least. */
export const isServed = (state: AnswerState): boolean =>
  'parts' in state ? state.parts.some(single.isServed) : single.isServed(state);

/** Of each choice that goes on by itself. */
export const waysOf = (state: AnswerState): readonly Way[] =>
  ('parts' in state ? state.parts : [state]).map(({ carrier }) => wayOf(carrier));

/**
 * As another entry node left it, with all that its client was told or will be; null: nobody can go on with it, because
 * of what was told of it or how.
 */
export function restoredAnswer(
  request: AnswerRequest,
  records: readonly Written[],
  now: Instant,
): { readonly state: AnswerState; readonly events: readonly Said[] } | null {
  if (request.way === 'apart') return choices.restored(request, records, now);
  const own = records.filter((one) => one.type !== 'choice');
  const found = restore(request, own);
  return found && { state: single.resumed(request, found.carrier, now), events: found.events };
}
