/**
 * Takes up and lays down duties as the rings change: whom we observe, who observes us, whom we dial.
 *
 * A subject is observed from the moment that our own view of the rings says so; nobody else need agree. With one that
 * we are not connected with, the dial and the first silence start together.
 */
import { after, type Instant } from '../std/time.ts';
import { isHard } from './ballots.ts';
import { want } from './dialling.ts';
import type { Effect } from './events.ts';
import { ask, calm, linger, newWatch, silenceMs, type Watch } from './ladder.ts';
import { observersOf, subjectsOf } from './rings.ts';
import { isMesh, rouse, type State } from './state.ts';
import { isLiving, type Member } from './member.ts';
import { judge } from './verdict.ts';

/** Beats that one subject sends at a time: four times the observers that views which differ could name. */
const watchersMax = 32;

export function arrange(state: State, now: Instant, effects: Effect[]): void {
  const { self, rings } = state;
  const { subjects, charges } = self.voter
    ? subjectsOf(rings, self, isLiving)
    : { subjects: [], charges: [] };
  state.subjects = subjects;
  state.observers = self.voter ? observersOf(rings, self, isLiving) : [];
  for (const watch of [...state.watches]) {
    if (watch.role === 'observing' && !subjects.includes(watch.member)) release(state, watch, now, effects);
  }
  for (const subject of subjects) observe(state, subject, now, effects);
  want(state, charges, now);
  for (const suspect of state.suspects) excuse(state, suspect, now, effects);
}

/** That a connection closed says nothing of a member any more once we want none with it. */
function excuse(state: State, suspect: Member, now: Instant, effects: Effect[]): void {
  if (suspect.doubt !== 'closed' || suspect.wanted || suspect.watch !== null || !suspect.voter) return;
  suspect.doubt = null;
  judge(state, suspect, now, effects);
}

function observe(state: State, subject: Member, now: Instant, effects: Effect[]): void {
  if (subject.watch?.role === 'observing') return;
  const watch = newWatch(subject, 'observing', after(now, silenceMs));
  if (subject.watch !== null) state.watches.delete(subject.watch);
  subject.watch = watch;
  state.watches.add(watch);
  rouse(state, watch.probeAt);
  if (subject.connected) effects.push(ask(watch, true));
}

/** A dead one whose death we saw is told of a little longer, for those who missed it. */
function release(state: State, watch: Watch, now: Instant, effects: Effect[]): void {
  const { member } = watch;
  if (member.connected && !member.parting) effects.push(ask(watch, false));
  if (member.health === 'dead' && isHard(watch.finding)) return linger(watch);
  calm(state, watch, now, effects);
  drop(state, watch, now, effects);
}

/** Ends a watch and what we hold against the member by it. */
export function drop(state: State, watch: Watch, now: Instant, effects: Effect[]): void {
  const { member } = watch;
  state.watches.delete(watch);
  if (member.watch === watch) member.watch = null;
  const isOut = isMesh(state) && member.voter && !member.connected;
  if (!isOut && member.doubt !== 'replaced') member.doubt = null;
  judge(state, member, now, effects);
}

/** We hear about it only now and then: asks its kernel whether it is there. */
export function doubt(state: State, member: Member, now: Instant): Watch | null {
  if (member.watch !== null || state.watches.size >= watchesMax) return member.watch;
  const watch = newWatch(member, 'doubting', now);
  member.watch = watch;
  state.watches.add(watch);
  rouse(state, now);
  return watch;
}

/**
 * A request to it failed. What nothing would end is not held against it: who is not connected has no word to say, and
 * without a watch its kernel is not asked.
 */
export function charge(state: State, member: Member, now: Instant): Watch | null {
  const watch = doubt(state, member, now);
  if (watch !== null || member.connected) member.doubt ??= 'request';
  return watch;
}

/** Eight subjects, those that just died, and a burst of failing requests. */
const watchesMax = 64;

/** It wants our beats. When too many do, those that our own rings name come first. */
export function admitWatcher(state: State, member: Member): boolean {
  const { watchers, observers } = state;
  if (watchers.includes(member.peerId)) return true;
  const full = watchers.length >= watchersMax;
  if (full && !observers.includes(member)) return false;
  const named = new Set(observers.map(({ peerId }) => peerId));
  const evicted = full ? watchers.find((peerId) => !named.has(peerId)) : undefined;
  state.watchers = [...watchers.filter((peerId) => peerId !== evicted), member.peerId];
  return true;
}

export function dropWatcher(state: State, peerId: string): void {
  if (state.watchers.includes(peerId)) state.watchers = state.watchers.filter((one) => one !== peerId);
}
