/**
 * Who may be in the cluster: the instances that EC2's tags list, each with the key that it wrote itself (SPEC.md).
 *
 * A few nodes look and tell the others, because the account's rate is shared by all (plan.ts, turn.ts). What is told
 * counts when two distinct members say the same (claims.ts). Nothing that EC2 fails to say shrinks the cluster: an
 * answer that failed, is empty or lacks many counts for nothing, and what a good one lacks goes only after three
 * epochs, and never while membership calls it alive.
 *
 * What a list in the settings says instead of EC2 comes as an answer too, and is treated alike.
 */
import { unreachable } from '../std/assert.ts';
import { dropOldest } from '../std/bounded.ts';
import type { MemberId } from '../std/member-id.ts';
import { earliest, never, type Instant } from '../std/time.ts';
import { omission, type Absentees } from './answer.ts';
import { answer, ask, meet, welcome, wonder, wonderAnew, wonderLater } from './asking.ts';
import {
  barred,
  bind,
  boundEffect,
  connect,
  disputed,
  doubled,
  forgetAbsences,
  holderOf,
  isNews,
  isTold,
  isVoter,
  judge,
  liveVoters,
  longestMissing,
  part,
  seenIn,
  unbind,
  type Bound,
  type Member,
  type Outcome,
  type Seen,
} from './bindings.ts';
import { agreement, expire, settle } from './claims.ts';
import type { Effect, Entry, Event, Listed } from './events.ts';
import { awaitNote, confirm, countAnswers, keptMs, note, noteNew, recollect } from './memory.ts';
import type { Sight } from './order.ts';
import * as plans from './plan.ts';
import type { State } from './state.ts';
import { deny, enqueue, expiryOf, kindsOf, takeExpired, takeUntil } from './strangers.ts';
import { entriesMax, recent, tell } from './telling.ts';
import { isTurn } from './turn.ts';

const absencesToForget = 3;

type Step = readonly [State, readonly Effect[]];

export function step(state: State, event: Event, now: Instant): Step {
  const effects: Effect[] = [];
  react(state, event, now, effects);
  ask(state, now, effects);
  noteNew(state, now, effects);
  if (plans.nextLookAt(state.plan) <= now) {
    plans.begin(state.plan, now);
    effects.push({ type: 'look' });
  }
  return [state, effects];
}

function react(state: State, event: Event, now: Instant, effects: Effect[]): void {
  switch (event.type) {
    case 'looked':
      return onLooked(state, event.listed, now, effects);
    case 'look-failed':
      return onLookFailed(state, event, now, effects);
    case 'stranger':
      return onStranger(state, event, now, effects);
    case 'signed':
      return onSigned(state, event, now, effects);
    case 'vouched':
      return onVouched(state, event, now, effects);
    case 'judged':
      return onJudged(state, event, now);
    case 'remembered':
      return recollect(state, event, now, effects);
    case 'met':
      connect(state.bindings, event.peerId);
      return meet(state, event.peerId, now, effects);
    case 'parted':
      return void effects.push(...part(state.bindings, event.peerId));
    case 'unreached':
      return onUnreached(state, event.id, effects);
    case 'asked':
      return answer(state, event, now, effects);
    case 'isolated':
      return plans.awaitIsolated(state.plan, nodesOf(state), now);
    case 'tick':
      return onTick(state, now, effects);
    default:
      return unreachable(event);
  }
}

/** The instant by which the caller must deliver a `tick`; a late tick is harmless, a missing one is not. */
export const deadline = ({ plan, strangers, asking, noteAt }: State): Instant =>
  earliest(plans.nextLookAt(plan), plan.epochAt, expiryOf(strangers), asking.at, noteAt);

/** [Y1] Whether a proven peer id belongs to an instance of the cluster. */
export const isAdmitted = ({ bindings }: State, peerId: string): boolean =>
  holderOf(bindings, peerId) !== undefined;

const nodesOf = ({ bindings }: State): number => bindings.members.size + 1;
const windowOf = ({ plan }: State): number => 2 * plan.discoveryMs;

function onLooked(state: State, listed: readonly Listed[], now: Instant, effects: Effect[]): void {
  const { bindings, plan } = state;
  if (!plan.looking) return;
  const duty = plans.isDuty(plan, now);
  const staying = listed.filter(({ id, left }) => !left || id === state.selfId);
  const seen = new Set(staying.map(({ id }) => id));
  const news = bindListed(state, { listed, seen }, now, effects);
  confirm(state, seen, effects);
  const absentees = omission(bindings, { seen, self: state.selfId });
  const alone = bindings.members.size === 0;
  plans.succeeded(plan, nodesOf(state), alone, now);
  if (absentees.why !== null)
    effects.push({ type: 'fact', fact: { fact: 'discovery.failed', why: absentees.why } });
  const gone = retire(state, absentees, now, effects);
  settleStrangers(state, now, effects);
  const told = duty ? [...recent(state, seen, now), ...gone, ...news] : [...gone, ...news];
  if (state.hasLooked && state.listing === 'shared') tell(told, duty, effects);
  state.hasLooked = true;
  if (absentees.why === null) note(state, now, effects);
}

/** Goodbyes first: they free the keys that others may have taken over. */
function bindListed(
  state: State,
  { listed, seen }: { readonly listed: readonly Listed[]; readonly seen: ReadonlySet<MemberId> },
  now: Instant,
  effects: Effect[],
): Entry[] {
  const { bindings, selfId } = state;
  const news: Entry[] = [];
  const sight = ourLook(state);
  let dropped = 0;
  state.rivals.clear();
  for (const { id, left } of listed) {
    const member = left ? bindings.members.get(id) : undefined;
    if (member !== undefined && !member.live) release(state, member, now, effects);
  }
  for (const one of listed) {
    const { id, peerId, address, zone, role } = one;
    if (id === selfId || one.left) continue;
    const known = bindings.members.get(id);
    if (known !== undefined) forgetAbsences(known);
    if (peerId === null) continue;
    freeKey(state, peerId, { claimant: id, seen }, now, effects);
    const claim = { id, peerId, address, zone, role };
    const outcome = seat(state, { seen: claim, sight }, now, effects);
    if (outcome.type === 'full') dropped++;
    if (outcome.type === 'doubled') {
      state.rivals.set(id, claim);
      effects.push(doubled(id, outcome.holder));
      redress(state, peerId, now, effects);
    }
    if (outcome.type !== 'bound') continue;
    admit(state, outcome, effects);
    if (isTold(outcome.member.seen)) news.push(outcome.member.seen);
  }
  if (dropped > 0) effects.push({ type: 'fact', fact: { fact: 'discovery.overfull', dropped } });
  return news;
}

const ourLook = ({ plan }: State): Sight => ({ at: plan.begunAt, isOwn: true, isHere: false });

/** [Y9] A disk that moved to another instance took the key along: the old one is not listed and does not answer. */
function freeKey(
  state: State,
  peerId: string,
  { claimant, seen }: { readonly claimant: MemberId; readonly seen: ReadonlySet<MemberId> },
  now: Instant,
  effects: Effect[],
): void {
  const holder = holderOf(state.bindings, peerId);
  if (holder === undefined || holder.seen.id === claimant || seen.has(holder.seen.id)) return;
  if (!holder.live) release(state, holder, now, effects);
}

/** [Y9] Two that are copies of one disk both sign by its key: the first word of its owner stands. */
function onSigned(
  state: State,
  { peerId, id }: Extract<Event, { type: 'signed' }>,
  now: Instant,
  effects: Effect[],
): void {
  const holder = holderOf(state.bindings, peerId);
  if (holder === undefined || holder.seen.id === id || holder.isOwners) return;
  state.owners.set(peerId, id);
  redress(state, peerId, now, effects);
}

/** Of two that tag themselves with one key its owner has it, as soon as it has signed which of them it is. */
function redress(state: State, peerId: string, now: Instant, effects: Effect[]): void {
  const [holder, owner] = [holderOf(state.bindings, peerId), state.owners.get(peerId)];
  const rival = owner === undefined ? undefined : state.rivals.get(owner);
  if (holder === undefined || rival?.peerId !== peerId) return;
  release(state, holder, now, effects);
  const outcome = bind(state.bindings, rival, ourLook(state));
  if (outcome.type !== 'bound') return;
  outcome.member.isOwners = true;
  admit(state, outcome, effects);
}

/** [Y11] Where all places are taken, who is missing for the longest makes room. */
function seat(
  state: State,
  { seen, sight }: { readonly seen: Seen; readonly sight: Sight },
  now: Instant,
  effects: Effect[],
): Outcome {
  const isHere = state.strangers.get(seen.peerId)?.isHere ?? false;
  const outcome = bind(state.bindings, seen, { ...sight, isHere });
  if (outcome.type === 'disputed') effects.push(disputed(seen.id));
  const missing = outcome.type === 'full' ? longestMissing(state.bindings) : null;
  if (missing === null) return outcome;
  release(state, missing, now, effects);
  return bind(state.bindings, seen, sight);
}

function admit(state: State, { member, former }: Bound, effects: Effect[]): void {
  const { peerId, id } = member.seen;
  if (former !== null) effects.push(barred(former));
  if (state.hasLooked) welcome(state, member);
  awaitNote(state);
  effects.push(boundEffect(member));
  settle(state.claims, id);
  state.gone.delete(id);
  if (state.strangers.delete(peerId)) effects.push({ type: 'settled', peerId, admitted: true });
}

function release(state: State, member: Member, now: Instant, effects: Effect[]): void {
  const { seen } = member;
  effects.push(...unbind(state.bindings, member));
  settle(state.claims, seen.id);
  state.owners.delete(seen.peerId);
  if (!isTold(seen)) return;
  state.gone.set(seen.id, { entry: { ...seen, left: true }, at: now });
  dropOldest(state.gone, entriesMax);
}

/** [Y4] [Y5] What a good answer lacks, as others shall hear it; of what lacks many, only what is long gone. */
function retire(state: State, { why, absent }: Absentees, now: Instant, effects: Effect[]): Entry[] {
  const told: Entry[] = [];
  for (const member of absent) {
    if (member.live) continue;
    if (member.absentSince === never) member.absentSince = now;
    const longGone = now - member.absentSince > keptMs;
    if (why !== null && !longGone) continue;
    if (isTold(member.seen)) told.push({ ...member.seen, left: true });
    if (longGone) release(state, member, now, effects);
    else countAbsence(state, member, now, effects);
  }
  return told;
}

function countAbsence(state: State, member: Member, now: Instant, effects: Effect[]): void {
  const epoch = plans.epochOf(state.plan, now);
  if (member.live || member.absentEpoch === epoch) return;
  member.absentEpoch = epoch;
  member.absences++;
  if (member.absences >= absencesToForget) release(state, member, now, effects);
}

/** Who came after the look began may be in the next answer. */
function settleStrangers(state: State, now: Instant, effects: Effect[]): void {
  const { strangers, plan } = state;
  const met = effects.some(({ type }) => type === 'settled');
  const denied = deny(takeUntil(strangers, plan.begunAt), effects);
  if (met) plans.meetStrangers(plan);
  else plans.missStrangers(plan, denied);
  awaitStrangers(state, now);
}

function awaitStrangers(state: State, now: Instant): void {
  for (const { isHere } of state.strangers.values())
    plans.awaitStranger(state.plan, nodesOf(state), isHere, now);
}

function onLookFailed(
  state: State,
  { kind, why }: { readonly kind: string; readonly why: string },
  now: Instant,
  effects: Effect[],
): void {
  if (!state.plan.looking) return;
  plans.failed(state.plan, nodesOf(state), kind === 'busy', now);
  effects.push({ type: 'fact', fact: { fact: 'discovery.failed', why } });
  awaitStrangers(state, now);
}

/** [Y7] */
function onStranger(
  state: State,
  { peerId, isHere }: Extract<Event, { type: 'stranger' }>,
  now: Instant,
  effects: Effect[],
): void {
  const { strangers, plan } = state;
  if (isAdmitted(state, peerId)) return void effects.push({ type: 'settled', peerId, admitted: true });
  // Who knocks once more could not be let in before: others may know by now.
  if (isHere || !strangers.has(peerId)) wonder(state, peerId, now);
  if (isHere) plans.heedKnock(plan, nodesOf(state), now);
  const denied = enqueue(strangers, peerId, { at: now, isHere });
  if (denied !== null) effects.push({ type: 'settled', peerId: denied, admitted: false });
  if (!plan.looking) awaitStrangers(state, now);
}

/** [Y9] */
function onJudged(state: State, event: Extract<Event, { type: 'judged' }>, now: Instant): void {
  const member = state.bindings.members.get(event.id);
  const wasLive = member?.live === true;
  judge(state.bindings, event);
  if (event.live) countAnswers(state, now);
  else if (wasLive) wonderAnew(state, member, now);
}

/** [Y9] */
function onUnreached(state: State, id: MemberId, effects: Effect[]): void {
  const rival = state.bindings.members.get(id)?.rival ?? null;
  if (rival === null) return;
  const outcome = bind(state.bindings, rival.seen, { ...rival.sight, isHere: true });
  if (outcome.type === 'bound') admit(state, outcome, effects);
}

/** [Y2] */
function onVouched(
  state: State,
  { by, entries }: { readonly by: MemberId; readonly entries: readonly Entry[] },
  now: Instant,
  effects: Effect[],
): void {
  const voucher = state.bindings.members.get(by);
  if (state.listing === 'own' || voucher === undefined || !isVoter(voucher.seen)) return;
  // What was asked for is no word of a look.
  const isWordOfLook = entries.length === 0 || entries.some(({ ageMs }) => ageMs === undefined);
  const isWord = isWordOfLook && hear(state, by, now);
  for (const entry of entries.slice(0, entriesMax)) {
    if (entry.id === by || entry.id === state.selfId || !isNews(state.bindings, entry)) continue;
    const lookedAt = agreement(state.claims, { by, entry }, { now, windowMs: windowOf(state) });
    if (lookedAt !== null) accept(state, entry, { lookedAt, now }, effects);
  }
  plans.forgetStrangers(state.plan, kindsOf(state.strangers.values()));
  if (isWord) note(state, now, effects);
}

/** One voice alone may be the last poller with an open ear, or a liar: silence ends with the second, which is true. */
function hear(state: State, by: MemberId, now: Instant): boolean {
  const { voice, plan } = state;
  const second = voice !== null && voice.by !== by && now - voice.at <= windowOf(state);
  if (second && state.hasLooked) plans.awaitWord(plan, nodesOf(state), now);
  if (second) plans.resume(plan, nodesOf(state), now);
  state.voice = { by, at: now };
  return second;
}

function accept(
  state: State,
  entry: Entry,
  { lookedAt, now }: { readonly lookedAt: Instant; readonly now: Instant },
  effects: Effect[],
): void {
  const member = state.bindings.members.get(entry.id);
  if (entry.left === true && member !== undefined) {
    if (lookedAt > member.ownLookAt) countAbsence(state, member, now, effects);
    return;
  }
  const sight = { at: lookedAt, isOwn: false, isHere: false };
  const outcome = seat(state, { seen: seenIn(entry), sight }, now, effects);
  if (outcome.type === 'bound') return admit(state, outcome, effects);
  if (member?.hasEnded === true && member.seen.peerId !== entry.peerId) wonderLater(state, entry.peerId, now);
}

function onTick(state: State, now: Instant, effects: Effect[]): void {
  if (state.plan.epochAt <= now) onEpoch(state, now);
  deny(takeExpired(state.strangers, now), effects);
  plans.forgetStrangers(state.plan, kindsOf(state.strangers.values()));
}

/** A turn that a failure put off beyond its epoch has passed to others. */
function onEpoch({ plan, selfId, listing, bindings, claims }: State, now: Instant): void {
  const epoch = plans.epochOf(plan, now);
  const turn = isTurn(selfId, epoch, liveVoters(bindings));
  plan.turnAt = turn || listing === 'own' ? now : never;
  expire(claims, { now, windowMs: 2 * plan.discoveryMs });
  plans.awaitEpoch(plan, now);
}
