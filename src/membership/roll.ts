/**
 * The roll of members: discovery puts them on it and strikes them off, and their records say which life they are in. Who
 * said goodbye stays on it, until discovery sees the instance no more.
 */
import type { Instant } from '../std/time.ts';
import { strike } from './ballots.ts';
import { dismiss, returned } from './dialling.ts';
import type { Binding, Effect, Event } from './events.ts';
import { isLiving, newMember, type Member } from './member.ts';
import { dropWatcher } from './neighbours.ts';
import { insert, remove } from './rings.ts';
import { reappear } from './rumours.ts';
import { rearrange, welcome, type State } from './state.ts';
import { judge, part, revive, turn } from './verdict.ts';
import { renew } from './words.ts';

/** Twice what a cell may have (500). */
const membersMax = 2_000;

export function onBound(state: State, binding: Binding, now: Instant, effects: Effect[]): void {
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

export function onUnbound(state: State, member: Member | undefined, now: Instant, effects: Effect[]): void {
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
  state.contested.delete(member.id);
  state.accusers.delete(member.id);
  dismiss(state, member, now);
  dropWatcher(state, member.peerId);
  retract(state, member.id, now, effects);
  rearrange(state, now);
  effects.push({ type: 'fact', fact: { fact: 'member.forgotten', member: member.id, why: 'unbound' } });
}

/** What it said of others goes with it: its next key has a clock of its own, and may begin below. */
function retract(state: State, voter: Member['id'], now: Instant, effects: Effect[]): void {
  for (const subject of state.polled)
    if (subject.poll !== null && strike(subject.poll, voter, now)) judge(state, subject, now, effects);
}

export function onRecorded(
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
  state.contested.delete(id);
  if (member.health === 'left') return turn(state, member, ['alive', 'record'], now, effects);
  reappear(state, member, before, now);
  if (member.health === 'dead') returned(state, member, now);
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
