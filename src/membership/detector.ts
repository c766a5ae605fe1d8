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
import { disprove, purge } from './ballots.ts';
import { beatTo, greet } from './beats.ts';
import { dial, dialFailed, dismiss, isDialledInVain, reached, redialLost, trim, visit } from './dialling.ts';
import type { Binding, Effect, Event } from './events.ts';
import {
  advance,
  ask,
  calm,
  dueAt,
  found,
  hurry,
  join,
  restart,
  silenceMs,
  tell,
  type Watch,
} from './ladder.ts';
import { admitWatcher, arrange, charge, drop, dropWatcher } from './neighbours.ts';
import { insert, remove } from './rings.ts';
import { believe, dispel, hearAccusation, hearRumour, outlive, reappear, reunite, tend } from './rumours.ts';
import { lagAfter } from './stamps.ts';
import { isMesh, nextBeat, welcome, rearrange, rouse, upkeepMs, type State } from './state.ts';
import { isLiving, newMember, type Member } from './member.ts';
import { admitVote, isAccusing, judge, part, revive, turn } from './verdict.ts';

/** Twice what a cell may have (500). */
const membersMax = 2_000;
/** A tick this late means that we stood still, not the others. */
const stallMs = 150;
/** After a stall as long as this, votes in our buffers may have been withdrawn since. */
const stallOfNoteMs = 600;
const deafMs = 250;
/** A connection that carries nothing for so long is half open, unless its process is slow: then it will carry again. */
const hangUpMs = 30_000;
/** Nobody at all is connected: our addresses are old, or we are cut off. */
const aloneMs = 3_000;
const isolatedGapMs = 30_000;
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

function onBeat(
  state: State,
  { peerId, stamp }: Extract<Event, { type: 'beat' }>,
  now: Instant,
  effects: Effect[],
): void {
  const member = state.memberByPeerId.get(peerId);
  if (member !== undefined) member.lag = lagAfter(member.lag, stamp, now);
  onWord(state, member, now, effects);
}

function onWord(state: State, member: Member | undefined, now: Instant, effects: Effect[]): void {
  if (member === undefined || !member.connected) return;
  member.heardAt = now;
  const { watch } = member;
  const isWatched = watch !== null && (watch.finding !== null || watch.round !== 0);
  const isAccused = member.poll !== null || state.rumours.has(member.id);
  if (member.health !== 'alive' || isAccused || isWatched) hear(state, member, 'heard', now, effects);
}

/** A sign of life of the member itself. What it said goodbye to it does not come back from. */
function hear(state: State, member: Member, why: string, now: Instant, effects: Effect[]): void {
  if (member.health === 'left' || member.parting) return;
  reunite(state, member, now);
  revive(state, member, why, now, effects);
  if (member.watch !== null) renew(state, member.watch, now, effects);
}

function renew(state: State, watch: Watch, now: Instant, effects: Effect[]): void {
  calm(state, watch, now, effects);
  if (watch.role !== 'observing') drop(state, watch, now, effects);
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
  state.wakeAt = nextWake(state);
}

function nextWake(state: State): Instant {
  let at: number = Math.min(state.beatAt, state.arrangeAt, state.pollAt, state.dialAt);
  for (const watch of state.watches) at = Math.min(at, dueAt(watch));
  return instant(at);
}

function recount(state: State, now: Instant, effects: Effect[]): void {
  state.pollAt = instant(Infinity);
  for (const member of state.polled) {
    if (member.poll === null || purge(member.poll, now)) {
      member.poll = null;
      state.polled.delete(member);
    }
    judge(state, member, now, effects);
  }
}

function upkeep(state: State, now: Instant, effects: Effect[]): void {
  state.upkeepAt = after(now, upkeepMs);
  if (state.polled.size > 0) recount(state, now, effects);
  for (const member of state.suspects) {
    const isSlow = member.watch?.finding === 'slow' || member.why === 'votes';
    if (member.connected && !isSlow && now >= after(member.since, hangUpMs)) part(member, effects);
  }
  if (now >= state.greetAt) greet(state, now, effects);
  trim(state, effects);
  visit(state, now);
  tend(state, now, effects);
  keepCompany(state, now, effects);
}

function keepCompany(state: State, now: Instant, effects: Effect[]): void {
  const isAlone = state.links.size === 0 && state.members.size > 0;
  if (!isAlone) {
    state.aloneSince = null;
    return;
  }
  state.aloneSince ??= now;
  if (now < after(state.aloneSince, aloneMs) || now < after(state.isolatedAt, isolatedGapMs)) return;
  state.isolatedAt = now;
  state.extras.clear();
  rearrange(state, now);
  effects.push({ type: 'isolated' });
  effects.push({ type: 'fact', fact: { fact: 'membership.isolated', members: state.members.size } });
}

function onStall(state: State, now: Instant, effects: Effect[]): void {
  const ms = now - state.wakeAt;
  for (const watch of state.watches) restart(watch, now);
  if (ms >= stallOfNoteMs) state.deafUntil = after(now, deafMs);
  state.stalledAt = now;
  state.wakeAt = now;
  effects.push({ type: 'fact', fact: { fact: 'membership.stalled', ms } });
}

function onBound(state: State, binding: Binding, now: Instant, effects: Effect[]): void {
  if (binding.id === state.self.id) return;
  const known = state.members.get(binding.id);
  if (known !== undefined) {
    const isSame = known.peerId === binding.peerId && known.voter === binding.voter;
    if (isSame) return void Object.assign(known, { address: binding.address, zone: binding.zone });
    onUnbound(state, known, now, effects); // another key is another life: nothing that we know of the old one holds
  }
  if (state.members.size >= membersMax) {
    return void effects.push({ type: 'fact', fact: { fact: 'membership.overfull', member: binding.id } });
  }
  const member = newMember(binding, now);
  state.members.set(member.id, member);
  state.memberByPeerId.set(member.peerId, member);
  if (member.voter) {
    insert(state.rings, member);
    state.living++;
    welcome(state, now);
  }
  if (known !== undefined) effects.push({ type: 'judged', id: member.id, health: 'unknown' });
}

function onUnbound(state: State, member: Member | undefined, now: Instant, effects: Effect[]): void {
  if (member === undefined) return;
  part(member, effects);
  if (member.voter) remove(state.rings, member);
  if (member.voter && isLiving(member)) state.living--;
  state.links.delete(member);
  if (member.watch !== null) state.watches.delete(member.watch);
  state.members.delete(member.id);
  if (state.memberByPeerId.get(member.peerId) === member) state.memberByPeerId.delete(member.peerId);
  for (const set of [state.polled, state.suspects, state.dead, state.extras]) set.delete(member);
  state.reunions.delete(member);
  state.rumours.delete(member.id);
  state.accusers.delete(member.id);
  dismiss(state, member, now);
  dropWatcher(state, member.peerId);
  rearrange(state, now);
  effects.push({ type: 'fact', fact: { fact: 'member.forgotten', member: member.id, why: 'unbound' } });
}

function onRecorded(
  state: State,
  { id, incarnation, left }: Extract<Event, { type: 'recorded' }>,
  now: Instant,
  effects: Effect[],
): void {
  if (id === state.self.id) onOwnRecord(state, incarnation);
  const member = state.members.get(id);
  if (member === undefined || incarnation < member.incarnation) return;
  const { incarnation: before } = member;
  member.incarnation = incarnation;
  if (left) return onLeft(state, member, now, effects);
  if (incarnation === before) return;
  member.poll = null;
  state.polled.delete(member);
  if (member.health === 'left') return turn(state, member, ['alive', 'record'], now, effects);
  reappear(state, member, before, now);
  revive(state, member, 'record', now, effects);
  if (member.watch !== null) renew(state, member.watch, now, effects);
}

/** A refutation is one more. What is raised by more was outranked by a record of an earlier life, whose votes are as well. */
function onOwnRecord(state: State, incarnation: number): void {
  if (incarnation > state.self.incarnation + 1) state.life = incarnation;
  state.self.incarnation = Math.max(state.self.incarnation, incarnation);
}

function onLeft(state: State, member: Member, now: Instant, effects: Effect[]): void {
  if (member.watch !== null) {
    state.watches.delete(member.watch);
    member.watch = null;
  }
  member.doubt = null;
  state.rumours.delete(member.id);
  dismiss(state, member, now);
  turn(state, member, ['left', 'record'], now, effects);
}

function onConnected(state: State, peerId: string, now: Instant, effects: Effect[]): void {
  const member = state.memberByPeerId.get(peerId);
  if (member === undefined) return void effects.push({ type: 'hang-up', peerId });
  state.links.add(member);
  Object.assign(member, { connected: true, met: true, parting: false, heardAt: now, lag: null });
  effects.push(beatTo(state, [peerId], now));
  reached(state, member, now);
  if (member.poll !== null) disprove(member.poll, 'connection', now);
  hear(state, member, 'connected', now, effects);
  const { watch } = member;
  if (watch?.role !== 'observing') return;
  watch.probeAt = after(now, silenceMs);
  effects.push(ask(watch, true));
}

/** Whether we closed it ourselves or it closed by itself: only the latter says something. */
function onDisconnected(state: State, peerId: string, now: Instant, effects: Effect[]): void {
  const member = state.memberByPeerId.get(peerId);
  if (member === undefined || !member.connected) return;
  const isOurs = member.parting;
  Object.assign(member, { connected: false, parting: false });
  state.links.delete(member);
  dropWatcher(state, peerId);
  if (member.health === 'left') return;
  if (member.wanted) redialLost(state, member, now);
  if (member.doubt === 'request' && charge(state, member, now) === null) member.doubt = null;
  if (!isOurs) onClosed(state, member, now, effects);
  judge(state, member, now, effects);
  dial(state, now, effects);
}

function onClosed(state: State, member: Member, now: Instant, effects: Effect[]): void {
  const { watch } = member;
  const isOurs = watch?.role === 'observing';
  if (isOurs || isMesh(state) || !member.voter) member.doubt ??= 'closed';
  if (isOurs && isLiving(member)) hurry(state, watch, now, effects);
}

function onDialFailed(
  state: State,
  { id, why }: Extract<Event, { type: 'dial-failed' }>,
  now: Instant,
  effects: Effect[],
): void {
  const member = state.members.get(id);
  if (member === undefined) return;
  if (why === 'replaced') outlive(state, member, now, effects);
  if (!dialFailed(state, member, why, now)) return;
  const { watch } = member;
  const explains = watch?.role === 'observing' && isLiving(member) && watch.finding === null;
  if (explains && (why === 'refused' || why === 'silent')) hurry(state, watch, now, effects);
  if (!isDialledInVain(state, member)) return;
  member.doubt ??= 'closed';
  judge(state, member, now, effects);
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
