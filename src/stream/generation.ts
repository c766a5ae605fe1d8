/**
 * One generation, from the client's request to the last byte of its answer, over as many engines as it takes.
 *
 *   reaching ──first token──► flowing ──finish──► closing ──[DONE]──► over
 *      ▲ │                       │
 *      │ └──nobody takes it──► seeking ──too long──► over, with an honest error
 *      └────────── lost: eof, reset, error, silence, or ordered to move
 *
 * Each request to an engine is a leg with a number; what is heard of any but the newest changes nothing. The machine
 * says when to open a leg, with what and where not; the shell picks the member and reports what comes. How the answer
 * is put together, and whether it can go on elsewhere, is the carrier's matter.
 */
import { assert, unreachable } from '../std/assert.ts';
import type { MemberId } from '../std/member-id.ts';
import { after, earliest, never, type Instant } from '../std/time.ts';
import {
  answerDueOf,
  asParsed,
  asUntouched,
  endingOf,
  heardOf,
  hearItem,
  hearTold,
  isMovable,
  isTelling,
  letGo,
  nextLegOf,
  questionOf,
  safeOf,
  speaks,
  takeAnswer,
  tokensSafe,
  waitOn,
  wakeOf,
  wayOf,
} from './carrier.ts';
import type { Item } from './chunk.ts';
import type { Effect, Event, StreamFact } from './events.ts';
import { isInVain, noteFruit, weighLeg } from './fruit.ts';
import type { LossCause } from './loss.ts';
import type { Said } from './mark.ts';
import type { LogRecord } from './record.ts';
import { entryLeaves, notPlaced, refusalFor, takenOver, tell } from './refusal.ts';
import { renderPath } from './rendering.ts';
import * as rhythm from './rhythm.ts';
import { isSoughtTooLong, lessOwnStall, seekAgainMs } from './seeking.ts';
import { account, isNew, isTold, isUnbegun, memberOf, type Phase, type State } from './state.ts';
import { isPassing, letRest, resting } from './turned-away.ts';
import { countWhole, isAborted } from './whole.ts';

type Step = readonly [State, readonly Effect[]];

export const wake: Event = { type: 'tick' };

/** When a `tick` is wanted; a late one is harmless. */
export function deadline({ phase, ordered, carrier }: State): Instant {
  if (phase.phase === 'over') return never;
  const due = phase.phase === 'seeking' ? phase.until : earliest(phase.judgeAt, wakeOf(carrier));
  return earliest(due, ordered?.againAt ?? never);
}

export function step(state: State, event: Event, now: Instant): Step {
  if (state.phase.phase === 'over') return [state, []];
  if ('leg' in event && event.leg !== state.leg) return [state, []];
  switch (event.type) {
    case 'begin':
      return open(state, now);
    case 'placed':
      if (state.phase.phase === 'reaching') state.phase = { ...state.phase, member: event.member };
      return [state, asking(state, now)];
    case 'unplaced':
      return onUnplaced(state, event, now);
    case 'unreached':
      return onUnreached(state, now);
    case 'answered':
      if (state.phase.phase === 'reaching')
        state.phase = { ...state.phase, answered: true, judgeAt: after(now, rhythm.firstTokenMs) };
      return [state, []];
    case 'item':
      return onItem(state, event, now);
    case 'answer':
      return onAnswer(state, event, now);
    case 'ended':
      if (isTelling(state.carrier)) return [state, []];
      return state.phase.phase === 'closing' ? complete(state, now, []) : onLost(state, event.cause, now);
    case 'engine-dead':
      // Of an answer that has begun nothing is lost with it; a new request may be what the engine died of.
      return isNew(state) ? onLost(state, 'engine', now) : onTurnedAway(state, now);
    case 'told':
      return onTold(state, event, now);
    case 'move':
      return onMove(state, event, now);
    case 'client-left':
      return over(state, [abort(state), fact({ fact: 'stream.abandoned', ...account(state) })]);
    case 'cut':
      return onCut(state, event.resumes);
    case 'diverged':
      return fail(state, 'mismatch');
    case 'stumbled':
      return fail(state, 'defect');
    case 'taken':
      return handOver(state, 'taken', tell(isTold(state), takenOver));
    case 'tick':
      return onTick(state, now);
    default:
      return unreachable(event);
  }
}

function open(state: State, now: Instant): Step {
  const request = nextLegOf(state.carrier);
  if (request === null) return complete(state, now, []);
  state.leg += 1;
  state.ordered = null;
  state.carried = safeOf(state.carrier);
  // What is rendered comes at once, like the head of a stream.
  const streamed = request.streamed || request.path === renderPath;
  const judgeAt = after(now, streamed ? rhythm.headMs : rhythm.wholeAnswerMs);
  state.phase = { phase: 'reaching', member: null, streamed, answered: false, since: now, judgeAt };
  const avoid = [...state.avoid, ...resting(state.rests, now)];
  return [state, [{ type: 'open', leg: state.leg, request, avoid, urgent: state.losses > 0 }]];
}

/** A new request is told at once. One that was taken before waits: its member may come back, or another one. */
function onUnplaced(state: State, { why }: Extract<Event, { type: 'unplaced' }>, now: Instant): Step {
  if (state.losses === 0 && state.avoid.length === 0 && state.rests.size === 0)
    return over(state, [{ type: 'refuse', refusal: notPlaced(state.model, why) }]);
  if (isSoughtTooLong(state.soughtSince, now)) return fail(state, 'no-place');
  state.avoid = [];
  state.phase = { phase: 'seeking', until: after(now, seekAgainMs) };
  return [state, []];
}

function onUnreached(state: State, now: Instant): Step {
  shun(state);
  passOverStall(state, now);
  return isSoughtTooLong(state.soughtSince, now) ? fail(state, 'unreached') : open(state, now);
}

function passOverStall(state: State, now: Instant): void {
  state.soughtSince = lessOwnStall(state.soughtSince, deadline(state), now);
}

function onItem(state: State, { item }: { readonly item: Item }, now: Instant): Step {
  const { events, records, verdict } = hearItem(state.carrier, item);
  if (verdict.type === 'lost') return onLost(state, verdict.cause, now);
  if (verdict.type === 'parsed') {
    state.carrier = asParsed(state.carrier);
    const [next, effects] = onItem(state, { item }, now);
    return [next, [...logs(records), ...effects]];
  }
  if (verdict.type === 'unfit') {
    const cut = abort(state);
    state.carrier = asUntouched(state.carrier);
    const [opened, effects] = open(state, now);
    return [opened, [cut, ...effects]];
  }
  // One list and not four: this runs for every chunk.
  const effects: Effect[] = [...noteRhythm(state, now), ...logs(records)];
  for (const said of events) effects.push({ ...said, type: 'send' });
  if (verdict.type === 'closing') state.phase = { phase: 'closing', judgeAt: after(now, rhythm.closingMs) };
  if (verdict.type === 'complete') {
    if (item.type !== 'done') effects.push(abort(state));
    return complete(state, now, effects);
  }
  effects.push(...asking(state, now));
  return [state, effects];
}

function onTold(state: State, told: Extract<Event, { type: 'told' }>, now: Instant): Step {
  const { events, records, verdict } = hearTold(state.carrier, told, now);
  // Whoever cannot answer this has not begun the leg either.
  const isUnanswered = state.phase.phase === 'reaching' && !state.phase.answered;
  if (verdict.type === 'lost' && isUnanswered && (told.status === 0 || isPassing(told.status)))
    return onTurnedAway(state, now);
  if (verdict.type === 'lost') return onLost(state, verdict.cause, now);
  const effects = [...logs(records), ...says(events)];
  if (verdict.type === 'complete') return complete(state, now, [...effects, abort(state)]);
  return [state, [...effects, ...asking(state, now)]];
}

/** What is to be asked besides the leg, at its member. */
function asking(state: State, now: Instant): readonly Effect[] {
  const request = questionOf(state.carrier, now);
  return request === null || memberOf(state) === null ? nothing : [{ type: 'ask', leg: state.leg, request }];
}

/** The first token of a leg ends the wait for it, and mends what was broken. */
function noteRhythm(state: State, now: Instant): readonly Effect[] {
  const { phase, carrier } = state;
  if (phase.phase === 'flowing') {
    state.gapMs = rhythm.nextGapMs(state.gapMs, now - phase.heardAt);
    state.phase = { phase: 'flowing', member: phase.member, heardAt: now, judgeAt: phase.judgeAt };
    return heardOf(carrier) > state.carried ? mend(state, phase.member, now) : nothing;
  }
  if (phase.phase !== 'reaching' || !speaks(carrier, state.carried)) return nothing;
  assert(phase.member !== null, 'what was heard was said by a member');
  const judgeAt = after(now, rhythm.lookMs);
  state.phase = { phase: 'flowing', member: phase.member, heardAt: now, judgeAt };
  state.lastAnswer = null;
  return heardOf(carrier) > state.carried ? mend(state, phase.member, now) : [];
}

function mend(state: State, to: MemberId, now: Instant): readonly Effect[] {
  if (state.broken === null) return nothing;
  const { from, cause, since, tokens } = state.broken;
  state.broken = null;
  state.moves += 1;
  const [stallMs, way] = [Math.round(now - since), wayOf(state.carrier)];
  return [fact({ fact: 'stream.moved', from, to, way, tokens, stallMs, cause })];
}

function onAnswer(state: State, { status, body }: Extract<Event, { type: 'answer' }>, now: Instant): Step {
  const first = isNew(state);
  if (status < 300) {
    if (takeAnswer(state.carrier, body)) return open(state, now);
    if (state.carrier.type !== 'whole' || !first) return onLost(state, 'nonsense', now);
    if (isAborted(body)) return onLost(state, 'abort', now);
    countWhole(state.carrier.whole, body);
    const member = memberOf(state);
    const mended = member === null ? [] : mend(state, member, now);
    return over(state, [...mended, { type: 'answer', status, body }, finished(state, now)]);
  }
  if (first) state.lastAnswer = { status, body };
  if (first && !isPassing(status)) return over(state, [{ type: 'answer', status, body }]);
  if (!first && isPassing(status)) return onTurnedAway(state, now);
  return onLost(state, 'status', now);
}

/** No verdict on an answer that has begun, and no move either. */
function onTurnedAway(state: State, now: Instant): Step {
  const member = memberOf(state);
  if (member !== null) state.rests = letRest(state.rests, member, now);
  passOverStall(state, now);
  if (!isMovable(state.carrier) || isSoughtTooLong(state.soughtSince, now)) return fail(state, 'status');
  const left: readonly Effect[] = [abort(state), ...unanswered(state, 'status', now)];
  const [opened, effects] = open(state, now);
  return [opened, [...left, ...effects]];
}

function onLost(state: State, cause: LossCause, now: Instant): Step {
  weighLeg(state);
  shun(state);
  if (cause === 'mismatch' || cause === 'crowded' || isInVain(state) || !isMovable(state.carrier))
    return fail(state, cause);
  return moveOn(state, cause, now);
}

/** Drops the leg and opens the next one. */
function moveOn(state: State, cause: LossCause, now: Instant): Step {
  const { phase } = state;
  const member = memberOf(state);
  const left: readonly Effect[] = [abort(state), ...unanswered(state, cause, now)];
  letGo(state.carrier);
  state.losses += 1;
  if (cause === 'silence' && phase.phase === 'flowing') {
    state.gapMs = rhythm.gapMsAfterSilence(state.gapMs, now - phase.heardAt, state.silences);
    state.silences += 1;
  }
  if (state.broken === null) {
    const since =
      phase.phase === 'flowing' ? phase.heardAt : phase.phase === 'reaching' ? state.begunAt : now;
    state.broken = member && { from: member, cause, since, tokens: tokensSafe(state.carrier) };
    state.soughtSince = now;
  }
  // Who took it was found. One that does not stream has no word for us before its end.
  const isTaken = phase.phase === 'reaching' && (phase.answered || !phase.streamed);
  if (phase.phase === 'flowing' || isTaken) state.soughtSince = now;
  const [opened, effects] = open(state, now);
  return [opened, [...left, ...effects]];
}

/**
 * Ordered to go: not the member's fault and not the request's, so it counts against neither. Where there is nowhere to
 * go, or what is out cannot be said elsewhere, staying is better as long as the engine lives.
 */
function onMove(
  state: State,
  { member, cause, elsewhere }: Extract<Event, { type: 'move' }>,
  now: Instant,
): Step {
  if (memberOf(state) !== member) return [state, []];
  if (cause === 'dead') return onLost(state, cause, now);
  if (!isMovable(state.carrier)) return [state, []];
  const isDoubt = cause === 'suspect' || cause === 'silence';
  if (isDoubt && !isUnbegun(state, cause)) return [state, []];
  if (!elsewhere) {
    // A silence may be over by then; who is suspect is so until it is heard of again.
    if (cause === 'drain' || (cause === 'suspect' && state.ordered === null))
      state.ordered = { member, cause, againAt: after(now, seekAgainMs) };
    return [state, []];
  }
  if (isDoubt) shun(state);
  else noteFruit(state);
  return moveOn(state, cause, now);
}

/** Not this member again before a new token has come, unless there is nobody else. */
function shun(state: State): void {
  const member = memberOf(state);
  if (member !== null) state.avoid = [...state.avoid, member];
}

/** Who was asked for nothing. */
function unanswered({ phase, carrier }: State, cause: LossCause, now: Instant): readonly Effect[] {
  if (phase.phase !== 'reaching' || phase.member === null) return [];
  const [member, waitedMs] = [phase.member, Math.round(now - phase.since)];
  return [fact({ fact: 'stream.unanswered', member, cause, waitedMs, tokens: tokensSafe(carrier) })];
}

function onTick(state: State, now: Instant): Step {
  const { phase, ordered } = state;
  passOverStall(state, now);
  if (ordered !== null && ordered.againAt <= now) {
    state.ordered = null;
    return [state, [{ type: 'ask-again', member: ordered.member, cause: ordered.cause }]];
  }
  if (phase.phase === 'over') return [state, []];
  if (phase.phase === 'seeking') return phase.until <= now ? open(state, now) : [state, []];
  const due = answerDueOf(state.carrier);
  if (due <= now) {
    if (rhythm.afterOwnStall(due, now) === null) return onSilence(state, now);
    waitOn(state.carrier, now);
  }
  if (now < phase.judgeAt) return [state, asking(state, now)];
  if (phase.phase === 'closing') return complete(state, now, [abort(state)]);
  const later = stillPatient(state, phase, now);
  if (later === null) return onSilence(state, now);
  state.phase = { ...phase, judgeAt: later };
  return [state, []];
}

function onSilence(state: State, now: Instant): Step {
  const member = memberOf(state);
  const [next, effects] = onLost(state, 'silence', now);
  return [next, member === null ? effects : [{ type: 'doubt', member }, ...effects]];
}

/** When to look again; null: the patience is at its end. */
function stillPatient(
  { gapMs, carrier }: State,
  phase: Extract<Phase, { judgeAt: Instant }>,
  now: Instant,
): Instant | null {
  if (phase.phase === 'flowing') {
    if (isTelling(carrier)) return after(now, rhythm.lookMs);
    const until = after(phase.heardAt, rhythm.patienceMs(gapMs));
    if (now < until) return earliest(until, after(now, rhythm.lookMs));
  }
  return rhythm.afterOwnStall(phase.judgeAt, now);
}

function complete(state: State, now: Instant, before: readonly Effect[]): Step {
  const ending = endingOf(state.carrier);
  const last: readonly Effect[] =
    ending.type === 'body'
      ? [{ type: 'answer', status: 200, body: ending.body }]
      : [...says(ending.events), { type: 'close' }];
  return over(state, [...before, ...logs(ending.records), ...last, finished(state, now)]);
}

function fail(state: State, cause: LossCause | 'no-place'): Step {
  const { lastAnswer, model, broken } = state;
  const isOut = isTold(state);
  const refusal = refusalFor(cause, { model, isOut, before: broken?.cause ?? null });
  const told: readonly Effect[] =
    lastAnswer !== null && !isOut ? [{ type: 'answer', ...lastAnswer }] : tell(isOut, refusal);
  return over(state, [abort(state), ...told, fact({ fact: 'stream.failed', cause, ...account(state) })]);
}

function onCut(state: State, resumes: boolean): Step {
  if (resumes && isMovable(state.carrier)) {
    const owed: readonly Effect[] = isTold(state) ? [{ type: 'close' }] : tell(false, entryLeaves);
    return handOver(state, 'drain', owed);
  }
  const lost = fact({ fact: 'stream.entryLost', ...account(state) });
  return over(state, [abort(state), ...tell(isTold(state), entryLeaves), lost]);
}

const handOver = (state: State, why: 'drain' | 'taken', told: readonly Effect[]): Step =>
  over(state, [abort(state), ...told, fact({ fact: 'stream.handedOver', why, ...account(state) })]);

function over(state: State, effects: readonly Effect[]): Step {
  state.phase = { phase: 'over' };
  return [state, effects];
}

const nothing: readonly Effect[] = [];
const says = (events: readonly Said[]): readonly Effect[] =>
  events.map((said): Effect => ({ ...said, type: 'send' }));
const logs = (records: readonly LogRecord[]): readonly Effect[] =>
  records.length === 0 ? [] : [{ type: 'log', records }];
const abort = (state: State): Effect => ({ type: 'abort', leg: state.leg });
const fact = (said: StreamFact): Effect => ({ type: 'fact', fact: said });
const finished = (state: State, now: Instant): Effect =>
  fact({ fact: 'stream.finished', durationMs: Math.round(now - state.begunAt), ...account(state) });
