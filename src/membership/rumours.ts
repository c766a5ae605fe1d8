/**
 * What others hold, as their digests tell. Nobody is believed: a rumour makes us ask the kernel ourselves, and only
 * when it denies the member twice, and two others hold it dead as well, is it dead for us too. That is how a node that
 * missed the votes comes to know.
 *
 * When others hold us dead, our incarnation rises, which revokes what they hold. So it does when members that we held
 * dead come back with the life that they had: it was the way between us that was cut, and they held us dead as well.
 */
import type { MemberId } from '../std/member-id.ts';
import { after, instant, type Instant } from '../std/time.ts';
import { hardMs } from './ballots.ts';
import { call } from './dialling.ts';
import type { Effect, Event } from './events.ts';
import { hurry, type Watch } from './ladder.ts';
import { doubt } from './neighbours.ts';
import { areFew, isMesh, type State } from './state.ts';
import { isFresh, isLiving, type Member } from './member.ts';
import { judge, turn } from './verdict.ts';

/** Digests that differ are told again every second; this is many of them. */
const rumourMs = 30_000;
/** A rumour that the kernel denied is not asked about again for so long. */
const quietMs = 10_000;
const rumoursMax = 256;
const holdersMax = 8;
const probesToBelieve = 2;
const accusationMs = 10_000;
const refuteGapMs = 2_000;
/** It doubles while we meet others again and again: a cut that stays must not make both its sides talk for ever. */
const refuteGapMsMax = 32_000;
/** Until then it is the same cut. */
const calmMs = 64_000;
/** Where all are to be connected with all, each meets many again, one after the other, and all of them hear of the first. */
const meshRefuteGapMs = 6_000;
/**
 * Until then the record of a new incarnation has come, if it is a new life. Where several come back at once a higher
 * incarnation may as well be their own refutation.
 */
const reunionMs = 200;
/** One that was only silent is forgotten if no other joins it within this. */
const aloneMs = 2_000;
/** So many that are or were dead at once are a cut, and not one machine that came back. */
const cutMin = 3;
/** A refutation raises the incarnation by one, a new life sets it to the time of its start in ms. */
const refutationsMax = 64;

export type Reunion = { readonly incarnation: number; readonly wasDead: boolean; readonly at: Instant };

export type Rumour = { readonly holders: Map<MemberId, Instant>; quietUntil: Instant };

export function hearRumour(
  state: State,
  { by, id, incarnation, says }: Omit<Extract<Event, { type: 'rumoured' }>, 'type'>,
  now: Instant,
  effects: Effect[],
): void {
  const member = state.members.get(id);
  if (member === undefined || !member.voter || !isLiving(member) || member.incarnation !== incarnation)
    return;
  if (by === id || !isWitness(state, by)) return;
  if (says === 'dead' && member.connected) warn(state, member, by, now, effects);
  if (isFresh(member, now)) return;
  if (note(state.rumours, id, by, now) === null) return;
  const watch = doubt(state, member, now);
  if (watch !== null) believe(state, watch, now, effects);
}

/** null: it is quiet about this one for now, or there are too many. */
function note(rumours: Map<MemberId, Rumour>, id: MemberId, by: MemberId, now: Instant): Rumour | null {
  const rumour = rumours.get(id) ?? { holders: new Map(), quietUntil: now };
  if (now < rumour.quietUntil) return null;
  if (!rumours.has(id) && rumours.size >= rumoursMax) return null;
  rumours.set(id, rumour);
  if (rumour.holders.size < holdersMax || rumour.holders.has(by)) rumour.holders.set(by, now);
  return rumour;
}

/**
 * It speaks to us, and others hold it dead. Where not all are connected with all those others are not connected with it,
 * and whoever is holds it alive, so nothing that it compares would ever show it what they hold. We tell it once two
 * have told us: with one that lies among them, one is still honest.
 */
function warn(state: State, member: Member, by: MemberId, now: Instant, effects: Effect[]): void {
  if (isMesh(state)) return;
  const rumour = note(state.contested, member.id, by, now);
  if (rumour === null || !isSpread(state, rumour, now)) return;
  rumour.quietUntil = after(now, refuteGapMs);
  effects.push({ type: 'accuse', peerId: member.peerId, incarnation: member.incarnation });
}

/**
 * To be called after each probe without an answer. What the kernel said a while ago it is asked again: one that answered
 * for a process that did not run would by itself be asked again only minutes later.
 */
export function believe(state: State, watch: Watch, now: Instant, effects: Effect[]): void {
  const { member, finding, foundAt, hardProbes } = watch;
  const rumour = state.rumours.get(member.id);
  if (rumour === undefined || !isLiving(member) || isFresh(member, now)) return;
  if (finding === null) return;
  if (!isSpread(state, rumour, now)) return;
  if (now >= after(foundAt, hardMs)) return hurry(state, watch, now, effects);
  if (hardProbes >= probesToBelieve) turn(state, member, ['dead', 'rumour'], now, effects);
}

/** Whether two hold it dead, or all others. */
function isSpread(state: State, { holders }: Rumour, now: Instant): boolean {
  const count = [...holders].filter(([by, at]) => now < after(at, rumourMs) && isWitness(state, by)).length;
  const others = state.living - (state.self.voter ? 2 : 1);
  return count >= Math.max(1, Math.min(2, others));
}

/**
 * The kernel answered: whoever holds it dead will learn that from others. Unless it is another machine that has the
 * address by now: with whom we have no connection is dialled, and then whoever answers proves who it is.
 */
export function dispel(state: State, member: Member, now: Instant): void {
  const rumour = state.rumours.get(member.id);
  if (rumour === undefined) return;
  if (!member.connected && isSpread(state, rumour, now)) call(state, member, now);
  else rumour.holders.clear();
  rumour.quietUntil = after(now, quietMs);
}

/**
 * Somebody else has its address: another machine, or its own next life. It is not to be used, and who is held dead by two
 * others is dead.
 */
export function outlive(state: State, member: Member, now: Instant, effects: Effect[]): void {
  if (!isLiving(member) || isFresh(member, now)) return;
  const rumour = state.rumours.get(member.id);
  if (rumour !== undefined && isSpread(state, rumour, now))
    return turn(state, member, ['dead', 'rumour'], now, effects);
  if (member.connected || member.doubt === 'replaced') return;
  member.doubt = 'replaced';
  judge(state, member, now, effects);
  if (member.watch?.role === 'observing') hurry(state, member.watch, now, effects);
}

/**
 * Only of the life that we live: what outranks us is of an earlier one, of this key, and then the registry raises ours
 * above it, or of a former key, and then nothing that we say would take it back.
 */
export function hearAccusation(
  state: State,
  { by, incarnation }: { readonly by: MemberId; readonly incarnation: number },
  now: Instant,
  effects: Effect[],
): void {
  if (!isWitness(state, by) || incarnation !== state.self.incarnation) return;
  state.accusers.set(by, now);
  forget(state.accusers, accusationMs, now);
  const others = state.living - (state.self.voter ? 1 : 0);
  if (state.accusers.size >= Math.min(2, others)) refute(state, 'accused', now, effects);
}

/**
 * It was dead for us, or did not answer, and speaks now. Where all fit into a mesh the connection itself tells everybody,
 * unless so many are to be connected that it takes longer than a record from mouth to mouth.
 */
export function reunite(state: State, member: Member, now: Instant): void {
  const { health, watch, incarnation } = member;
  const wasDead = health === 'dead';
  if (!wasDead && watch?.wasSilent !== true) return;
  if (areFew(state) && !(wasDead && state.dead.size + state.reunions.size >= cutMin)) return;
  expect(state, member, { incarnation, wasDead, at: now });
}

/**
 * It was dead for us, or did not answer, and its record says that it refuted this. If several do, it was a cut, and who
 * held us dead on its other side did not hear from us yet.
 */
export function reappear(state: State, member: Member, before: number, now: Instant): void {
  const { health, watch, incarnation } = member;
  const wasDead = health === 'dead';
  if ((!wasDead && watch?.wasSilent !== true) || incarnation - before > refutationsMax) return;
  if (wasDead && state.dead.size + state.reunions.size < cutMin) return;
  // A thousand would answer a single one that comes and goes.
  expect(state, member, { incarnation, wasDead: wasDead && areFew(state), at: now });
}

function expect(state: State, member: Member, reunion: Reunion): void {
  state.reunions.set(member, reunion);
  state.upkeepAt = instant(Math.min(state.upkeepAt, after(reunion.at, reunionMs)));
}

export function tend(state: State, now: Instant, effects: Effect[]): void {
  for (const rumours of [state.rumours, state.contested]) fade(rumours, now);
  const areMany = state.reunions.size > 1;
  for (const [member, { incarnation, wasDead, at }] of state.reunions) {
    if (now < after(at, reunionMs)) continue;
    const isSameLife = wasDead && member.incarnation === incarnation;
    const isCut = isSameLife || areMany;
    if (isCut && isLiving(member)) refute(state, 'reconnected', now, effects);
    if (isCut || now >= after(at, aloneMs)) state.reunions.delete(member);
  }
}

function fade(rumours: Map<MemberId, Rumour>, now: Instant): void {
  for (const [id, rumour] of rumours) {
    forget(rumour.holders, rumourMs, now);
    if (rumour.holders.size === 0 && now >= rumour.quietUntil) rumours.delete(id);
  }
}

function refute(state: State, why: 'accused' | 'reconnected', now: Instant, effects: Effect[]): void {
  if (!state.self.voter) return;
  const isMet = why === 'reconnected';
  const leastMs = isMet && areFew(state) ? meshRefuteGapMs : refuteGapMs;
  if (now >= after(state.refutedAt, calmMs)) state.metGapMs = leastMs;
  const gapMs = isMet ? Math.max(leastMs, state.metGapMs) : leastMs;
  if (now < after(state.refutedAt, gapMs)) return;
  if (isMet) state.metGapMs = Math.min(2 * gapMs, refuteGapMsMax);
  state.refutedAt = now;
  state.accusers.clear();
  effects.push({ type: 'refute' }, { type: 'fact', fact: { fact: 'membership.refuted', why } });
}

function isWitness(state: State, by: MemberId): boolean {
  const witness = state.members.get(by);
  return witness !== undefined && witness.voter && isLiving(witness);
}

function forget(told: Map<MemberId, Instant>, ms: number, now: Instant): void {
  for (const [by, at] of told) if (now >= after(at, ms)) told.delete(by);
}
