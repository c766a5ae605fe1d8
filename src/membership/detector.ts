/**
 * Who is here, as one member sees it: a failure detector of rings, beats, kernel evidence and votes (SPEC.md).
 *
 * Discovery says who may be here (`bound`), members say what they are (`recorded`); this machine says who answers. A
 * beat costs a look-up and a store. Everything that walks (the rings, the watches) does so when something changed or
 * was found, and with a bound; nothing ever compares all members with all.
 *
 * Time is our own and monotonic. When a tick comes late we stood still, and what we then find silent is our own
 * silence: all deadlines start again.
 */
import { unreachable } from '../std/assert.ts';
import { after, instant, type Instant } from '../std/time.ts';
import { beatTo } from './beats.ts';
import { onConnected, onDialFailed, onDisconnected, onDisputed } from './connections.ts';
import { dial } from './dialling.ts';
import type { Effect, Event } from './events.ts';
import { advance, found, hurry, join, restart, tell, type Watch } from './ladder.ts';
import { isLiving, type Member } from './member.ts';
import { admitWatcher, arrange, charge, drop, dropWatcher } from './neighbours.ts';
import { onBound, onRecorded, onUnbound } from './roll.ts';
import { believe, dispel, hearAccusation, hearRumour } from './rumours.ts';
import { nextBeat, rouse, type State } from './state.ts';
import { upkeep } from './upkeep.ts';
import { admitVote, isAccusing, judge, recount } from './verdict.ts';
import { plan } from './wakes.ts';
import { onBeat, onWord } from './words.ts';

/** A tick this late means that we stood still, not the others. */
const stallMs = 150;
/** After a stall as long as this, votes in our buffers may have been withdrawn since. */
const stallOfNoteMs = 600;
const deafMs = 250;
/** A probe that answered a doubt is asked a second time, so that a failing request counts for a moment. */
const answersToClear = 2;
const clearMs = 2_000;

type Step = readonly [State, readonly Effect[]];

export function step(state: State, event: Event, now: Instant): Step {
  const effects: Effect[] = [];
  if (now - state.wakeAt > stallMs) onStall(state, now, effects);
  react(state, event, now, effects);
  return [state, effects];
}

/** Never earlier than asked for by the last tick, and never later than anything that is due. */
export const deadline = (state: State): Instant => state.wakeAt;

function react(state: State, event: Event, now: Instant, effects: Effect[]): void {
  switch (event.type) {
    case 'beat':
      return onBeat(state, event, now, effects);
    case 'heard':
      return onWord(state, state.memberByPeerId.get(event.peerId), now, effects);
    case 'tick':
      return onTick(state, now, effects);
    case 'bound':
      return onBound(state, event.binding, now, effects);
    case 'unbound':
      return onUnbound(state, state.members.get(event.id), now, effects);
    case 'recorded':
      return onRecorded(state, event, now, effects);
    case 'disputed':
      return onDisputed(state, event.id, now);
    case 'connected':
      return onConnected(state, event.peerId, now, effects);
    case 'disconnected':
      return onDisconnected(state, event.peerId, now, effects);
    case 'dial-failed':
      return onDialFailed(state, event, now, effects);
    case 'watch':
      return onWatch(state, event, now, effects);
    case 'probed':
      return onProbed(state, event, now, effects);
    case 'voted':
      return onVoted(state, event, now, effects);
    case 'rumoured':
      return hearRumour(state, event, now, effects);
    case 'accused':
      return hearAccusation(state, event, now, effects);
    case 'suspected':
      return onSuspected(state, event.id, now, effects);
    default:
      return unreachable(event);
  }
}

function onTick(state: State, now: Instant, effects: Effect[]): void {
  if (now >= state.beatAt) {
    if (state.watchers.length > 0) effects.push(beatTo(state, state.watchers, now));
    state.beatAt = nextBeat(state.beatPhaseMs, now);
  }
  if (now >= state.arrangeAt) {
    state.arrangeAt = instant(Infinity);
    state.arrangedAt = now;
    arrange(state, now, effects);
  }
  for (const watch of state.watches) advance(state, watch, now, effects);
  if (now >= state.pollAt) recount(state, now, effects);
  if (now >= state.upkeepAt) upkeep(state, now, effects);
  dial(state, now, effects);
  plan(state);
}

function onStall(state: State, now: Instant, effects: Effect[]): void {
  const ms = now - state.wakeAt;
  for (const watch of state.watches) restart(watch, now);
  if (ms >= stallOfNoteMs) state.deafUntil = after(now, deafMs);
  state.stalledAt = now;
  state.wakeAt = now;
  effects.push({ type: 'fact', fact: { fact: 'membership.stalled', ms } });
}

function onWatch(
  state: State,
  { peerId, on }: Extract<Event, { type: 'watch' }>,
  now: Instant,
  effects: Effect[],
): void {
  const member = state.memberByPeerId.get(peerId);
  if (member === undefined || !member.connected) return;
  if (!on) return dropWatcher(state, peerId);
  if (admitWatcher(state, member)) effects.push(beatTo(state, [peerId], now));
}

function onProbed(
  state: State,
  event: Extract<Event, { type: 'probed' }>,
  now: Instant,
  effects: Effect[],
): void {
  const watch = state.members.get(event.id)?.watch;
  if (watch === undefined || watch === null) return;
  const finding = found(state, watch, event, now);
  if (finding === null) return;
  const { member, role } = watch;
  if (finding === 'slow') dispel(state, member, now);
  if (role !== 'observing' && finding === 'slow') return onAnswered(state, watch, now, effects);
  member.doubt ??= 'silent';
  tell(state, watch, now, effects);
  judge(state, member, now, effects);
  if (finding !== 'slow') believe(state, watch, now, effects);
  if (role === 'lingering' && watch.votesLeft <= 0) drop(state, watch, now, effects);
}

function onAnswered(state: State, watch: Watch, now: Instant, effects: Effect[]): void {
  if (watch.role === 'lingering' || watch.probes >= answersToClear) return drop(state, watch, now, effects);
  watch.probeAt = after(now, clearMs);
  rouse(state, watch.probeAt);
}

function onVoted(
  state: State,
  { by, vote }: Extract<Event, { type: 'voted' }>,
  now: Instant,
  effects: Effect[],
): void {
  if (!admitVote(state, by, vote, now)) return;
  const member = state.members.get(vote.subject);
  if (member === undefined) return;
  judge(state, member, now, effects);
  if (member.watch?.role === 'observing' && isAccusing(vote)) join(state, member.watch, now, effects);
}

function onSuspected(state: State, id: Member['id'], now: Instant, effects: Effect[]): void {
  const member = state.members.get(id);
  if (member === undefined || !isLiving(member) || member.health === 'unknown') return;
  const watch = charge(state, member, now);
  judge(state, member, now, effects);
  if (watch?.role === 'observing' && watch.finding === null) hurry(state, watch, now, effects);
}
