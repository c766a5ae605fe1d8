/**
 * What a connection tells: that it came to stand, or that nobody could be reached, says who is there; that one closed,
 * unless we closed it, says that somebody may be gone, and is a reason to ask its kernel.
 */
import { after, type Instant } from '../std/time.ts';
import { disprove } from './ballots.ts';
import { beatTo } from './beats.ts';
import { call, dial, dialFailed, isDialledInVain, reached, redialLost } from './dialling.ts';
import type { Effect, Event } from './events.ts';
import { ask, closed, hurry, silenceMs } from './ladder.ts';
import { isLiving, type Member } from './member.ts';
import { charge, dropWatcher } from './neighbours.ts';
import { outlive } from './rumours.ts';
import { isMesh, type State } from './state.ts';
import { judge } from './verdict.ts';
import { hear } from './words.ts';

export function onConnected(state: State, peerId: string, now: Instant, effects: Effect[]): void {
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
export function onDisconnected(state: State, peerId: string, now: Instant, effects: Effect[]): void {
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
  if (isOurs && isLiving(member)) closed(state, watch, now, effects);
}

export function onDisputed(state: State, id: Member['id'], now: Instant): void {
  const member = state.members.get(id);
  if (member?.voter === true && member.health !== 'left') call(state, member, now);
}

export function onDialFailed(
  state: State,
  { id, peerId, why }: Extract<Event, { type: 'dial-failed' }>,
  now: Instant,
  effects: Effect[],
): void {
  const member = state.memberByPeerId.get(peerId);
  if (member?.id !== id) return;
  if (why === 'replaced') outlive(state, member, now, effects);
  if (why !== 'denied' && !member.connected) effects.push({ type: 'unreached', id });
  if (!dialFailed(state, member, why, now)) return;
  const { watch } = member;
  const explains = watch?.role === 'observing' && isLiving(member) && watch.finding === null;
  if (explains && (why === 'refused' || why === 'silent')) hurry(state, watch, now, effects);
  if (!isDialledInVain(state, member)) return;
  member.doubt ??= 'closed';
  judge(state, member, now, effects);
}
