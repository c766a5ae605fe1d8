/** A word of a member itself, of any kind, by its own connection: it is there, whatever was said of it. */
import type { Instant } from '../std/time.ts';
import type { Effect, Event } from './events.ts';
import { calm, type Watch } from './ladder.ts';
import type { Member } from './member.ts';
import { drop } from './neighbours.ts';
import { reunite } from './rumours.ts';
import { lagAfter } from './stamps.ts';
import type { State } from './state.ts';
import { revive } from './verdict.ts';
import { heardFrom } from './wakes.ts';

export function onBeat(
  state: State,
  { peerId, stamp }: Extract<Event, { type: 'beat' }>,
  now: Instant,
  effects: Effect[],
): void {
  const member = state.memberByPeerId.get(peerId);
  if (member !== undefined) member.lag = lagAfter(member.lag, stamp, now);
  onWord(state, member, now, effects);
}

export function onWord(state: State, member: Member | undefined, now: Instant, effects: Effect[]): void {
  if (member === undefined || !member.connected) return;
  const { watch, heardAt: lastAt } = member;
  member.heardAt = now;
  if (watch !== null) heardFrom(state, watch, lastAt);
  const isWatched = watch !== null && (watch.finding !== null || watch.round !== 0);
  const isAccused = member.poll !== null || (state.rumours.size > 0 && state.rumours.has(member.id));
  if (member.health !== 'alive' || isAccused || isWatched) hear(state, member, 'heard', now, effects);
}

/** A sign of life of the member itself. What it said goodbye to it does not come back from. */
export function hear(state: State, member: Member, why: string, now: Instant, effects: Effect[]): void {
  if (member.health === 'left' || member.parting) return;
  reunite(state, member, now);
  revive(state, member, why, now, effects);
  if (member.watch !== null) renew(state, member.watch, now, effects);
}

export function renew(state: State, watch: Watch, now: Instant, effects: Effect[]): void {
  calm(state, watch, now, effects);
  if (watch.role !== 'observing') drop(state, watch, now, effects);
}
