/**
 * Other members' records. Merging is a maximum over (incarnation, sequence), so records may come late, twice and in any
 * order, from anyone: the owner's signature counts, not who brings it. Order is looked at before the signature, because
 * most of what comes is known already and a signature is dear.
 */
import type { MemberId } from '../std/member-id.ts';
import { draw } from '../std/random.ts';
import { after, type Instant } from '../std/time.ts';
import { affords, take, type Limit } from './allowance.ts';
import type { Effect } from './events.ts';
import { recognise } from './own.ts';
import { outranks } from './record.ts';
import { isOwners, type Signed } from './sealed.ts';
import {
  bury,
  complain,
  enter,
  isMesh,
  isNews,
  keep,
  membersMax,
  newMember,
  type Pending,
  type State,
} from './state.ts';
import { restate } from './view-hash.ts';

/** Strangers' records that wait for discovery, in all and from one bringer, so that one liar displaces few. */
const pendingMax = 64;
const pendingEachMax = 16;
/**
 * Peers that are told of each revival: with three nearly all of any number hear of it, in the logarithm of their number.
 * Where members are few each of the other half tells one of this one as well, and two do for the same.
 */
const fanOut = { many: 3, few: 2, across: 1 };
/** Whom we met within this was cut off from us, if anybody was. */
const acrossMs = 10_000;
/** An honest peer passes on nothing it has not checked; one that did is not heard for this long. */
const forgerMuteMs = 10_000;
const mutedMax = 256;
/** Own changes go at most every 100 ms; the burst is what a bad network may hold up and let go together. */
const changeLimit: Limit = { perSecond: 10, burst: 40 };
/** Anyone can make keys and sign with them. What is beyond it comes again once discovery knows the stranger. */
const strangerLimit: Limit = { perSecond: 50, burst: 200 };

export function hear(state: State, signed: Signed, author: string | null, now: Instant): readonly Effect[] {
  if (author !== null && isMuted(state, author, now)) return [];
  const { record } = signed;
  if (record.id === state.own.id) return recognise(state, signed, now);
  const member = state.members.get(record.id);
  if (member?.peerId !== record.peerId) return wait(state, { signed, author, at: now }, now);
  if (!isNews(state, record.id, member, record)) return [];
  if (!affords(member.changes, changeLimit, now))
    return complain(state, { fact: 'record.flooding', member: record.id }, now);
  if (!isOwners(signed, state.seal)) return forged(state, record.id, author, now);
  // Taken only now: a forger must not use up the owner's changes.
  take(member.changes, changeLimit, 1, now);
  const isRaised = record.incarnation > (member.held?.signed.record.incarnation ?? Infinity);
  const brought = { signed, author, at: now };
  keep(state, record.id, member, brought);
  return [{ type: 'recorded', record }, ...(isRaised ? passOn(state, brought, member.dead) : [])];
}

/**
 * When two halves of a cluster meet, those that are connected again first learn from each other who lives; by word of mouth
 * all know in a few hops, long before all are connected, and before comparing would find it. Where members are few its
 * owner has told its own half, for whom it never was dead: they pass it on to the other one, each to one whom it has met.
 */
function passOn(state: State, { signed, author, at }: Pending, wasDead: boolean): readonly Effect[] {
  const isFew = isMesh(state);
  if (!wasDead && !isFew) return [];
  const count = wasDead ? fanOut[isFew ? 'few' : 'many'] : fanOut.across;
  const since = wasDead ? -Infinity : after(at, -acrossMs);
  const { peerId: owner } = signed.record;
  const others = [...state.peers].flatMap(([id, { metAt }]) =>
    metAt >= since && id !== author && id !== owner ? [id] : [],
  );
  const effects: Effect[] = [];
  while (others.length > 0 && effects.length < count) {
    const [index, next] = draw(state.rng, others.length);
    state.rng = next;
    const [peerId] = others.splice(index, 1);
    if (peerId !== undefined) effects.push({ type: 'send', peerId, message: { type: 'record', ...signed } });
  }
  return effects;
}

export function bind(state: State, id: MemberId, peerId: string, now: Instant): readonly Effect[] {
  if (id === state.own.id || state.members.get(id)?.peerId === peerId) return [];
  bury(state, id);
  if (state.members.size >= membersMax)
    return complain(state, { fact: 'registry.overfull', member: id }, now);
  const member = newMember(id, peerId, now);
  enter(state, member);
  const waiting = state.pending.get(peerId);
  if (waiting?.signed.record.id !== id) return [];
  state.pending.delete(peerId);
  const { record } = waiting.signed;
  if (!isNews(state, id, member, record)) return [];
  keep(state, id, member, waiting);
  return [{ type: 'recorded', record }];
}

export function judge(state: State, id: MemberId, dead: boolean): void {
  const member = state.members.get(id);
  if (member === undefined || member.dead === dead) return;
  if (member.held !== null) {
    const { incarnation, sequence } = member.held.signed.record;
    restate(state.view, id, { incarnation, sequence, dead: member.dead }, { incarnation, sequence, dead });
  }
  member.dead = dead;
}

/** The owner is not bound to the instance it speaks for, or not yet: kept for when discovery knows it. */
function wait(state: State, brought: Pending, now: Instant): readonly Effect[] {
  const { signed, author } = brought;
  const { record } = signed;
  const { peerId } = record;
  const waiting = state.pending.get(peerId);
  if (peerId === state.own.peerId || (waiting !== undefined && !outranks(record, waiting.signed.record)))
    return [];
  if (!take(state.strangers, strangerLimit, 1, now)) return [];
  if (!isOwners(signed, state.seal)) return forged(state, record.id, author, now);
  state.pending.delete(peerId);
  makeRoom(state, author);
  state.pending.set(peerId, brought);
  return [{ type: 'stranger', peerId, id: record.id }];
}

/** The bringer's own first, if it brought too many; else, if there is no place, the first of all. */
function makeRoom({ pending }: State, author: string | null): void {
  let brought = 0;
  let victim: string | undefined;
  for (const [peerId, each] of pending) {
    if (each.author !== author) continue;
    brought++;
    victim ??= peerId;
  }
  if (brought < pendingEachMax) [victim] = pending.size >= pendingMax ? pending.keys() : [];
  if (victim !== undefined) pending.delete(victim);
}

function forged(state: State, member: MemberId, author: string | null, now: Instant): readonly Effect[] {
  if (author !== null) {
    if (state.muted.size >= mutedMax) forgive(state, now);
    state.muted.set(author, after(now, forgerMuteMs));
  }
  return complain(state, { fact: 'record.forged', peerId: author, member }, now);
}

/** Lets go of those whose time is over, and of the oldest one in any case. */
function forgive({ muted }: State, now: Instant): void {
  const [oldest] = muted.keys();
  if (oldest !== undefined) muted.delete(oldest);
  for (const [peerId, until] of muted) if (until <= now) muted.delete(peerId);
}

function isMuted({ muted }: State, peerId: string, now: Instant): boolean {
  const until = muted.get(peerId);
  return until !== undefined && now < until;
}
