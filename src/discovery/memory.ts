/**
 * What a node knew, for its next life on the same machine: a daemon that starts again finds the others without EC2, and
 * so does one that starts while the API is away.
 *
 *   noted with each word that is as good as a look, and when somebody came ──the process ends──► remembered
 *      │
 *      ├─ less than an epoch and a half ago: others still tell who has gone since (telling.ts), and know who came, when
 *      │  they are asked (asking.ts), as one does who was there and missed it; a look is spared once two of them have
 *      │  answered
 *      └─ longer ago: whom to dial while the first look, which is had at once, is under way; who is neither in its
 *         answer nor alive by then is forgotten
 *
 * It is worth what the node itself would go by had it not ended, and for no longer: whom an answer lacks among many is
 * kept for six hours, and so is this. Who was on its way out is not noted at all.
 */
import type { MemberId } from '../std/member-id.ts';
import { after, earliest, never, type Instant } from '../std/time.ts';
import { aged, bind, boundEffect, isVoter, liveVoters, seenIn, unbind } from './bindings.ts';
import { settle } from './claims.ts';
import type { Effect, Entry } from './events.ts';
import { awaitAnswers, spareBoot } from './plan.ts';
import type { State } from './state.ts';

/** Who is gone is told for three epochs, and two more words of it come within one and a half. */
const freshEpochs = 1.5;
/** As long as whom answers lack. ms */
export const keptMs = 6 * 3_600_000;
/** One may be a liar. */
const answersMost = 2;
/** Words come three times in an epoch; a thousand members are 180 kB. */
const notesPerEpoch = 3;
/** Who came is noted sooner, where that is not much: the next word may be half a minute away, and our end may not. */
const comerMs = { least: 1_000, each: 40 };

export function recollect(
  state: State,
  { entries, ageMs }: { readonly entries: readonly Entry[]; readonly ageMs: number },
  now: Instant,
  effects: Effect[],
): void {
  const { bindings, plan, listing, selfId } = state;
  // A clock that was set back says nothing of the age, but that it was not long.
  if (listing === 'own' || state.hasLooked || Math.abs(ageMs) > keptMs) return;
  const isFresh = ageMs >= 0 && ageMs <= freshEpochs * plan.discoveryMs;
  let voters = 0;
  for (const entry of entries) {
    if (entry.id === selfId || entry.left === true) continue;
    const at = after(now, -Math.max(0, ageMs) - (entry.ageMs ?? 0));
    const outcome = bind(bindings, seenIn(entry), { at, isOwn: false, isHere: false });
    if (outcome.type !== 'bound') continue;
    outcome.member.remembered = !isFresh;
    if (isVoter(entry)) voters++;
    effects.push(boundEffect(outcome.member));
  }
  if (!isFresh || voters === 0) return;
  state.awaited = Math.min(answersMost, voters);
  awaitAnswers(plan, now);
}

/** Membership calls somebody alive. */
export function countAnswers(state: State, now: Instant): void {
  if (state.awaited === 0) return;
  let live = 0;
  for (const _ of liveVoters(state.bindings)) if (++live >= state.awaited) break;
  if (live < state.awaited) return;
  state.awaited = 0;
  state.hasLooked = true;
  spareBoot(state.plan, state.bindings.members.size + 1, now);
}

/** Once there is an answer: who is in it is known again, and who is alive. */
export function confirm(state: State, seen: ReadonlySet<MemberId>, effects: Effect[]): void {
  const { bindings, claims, owners } = state;
  state.awaited = 0;
  for (const member of [...bindings.members.values()]) {
    if (!member.remembered) continue;
    const { id } = member.seen;
    if (seen.has(id) || member.live) member.remembered = false;
    // An answer without ourselves is none to go by.
    if (!member.remembered || !seen.has(state.selfId)) continue;
    effects.push(...unbind(bindings, member));
    settle(claims, id);
    owners.delete(member.seen.peerId);
  }
}

/** Somebody came whom the next life would not know. */
export function awaitNote(state: State): void {
  if (!isKnowing(state)) return;
  const gapMs = Math.max(comerMs.least, comerMs.each * state.bindings.members.size);
  state.noteAt = earliest(state.noteAt, after(state.notedAt, Math.min(gapMs, wordGapMs(state))));
}

export function noteNew(state: State, now: Instant, effects: Effect[]): void {
  if (now >= state.noteAt) remember(state, now, effects);
}

/** By others' word or EC2's: there is something to note. */
const isKnowing = ({ hasLooked, listing }: State): boolean => hasLooked && listing !== 'own';
const wordGapMs = ({ plan }: State): number => plan.discoveryMs / notesPerEpoch;

/** There was word of the others, by a look of our own or by two of them. */
export function note(state: State, now: Instant, effects: Effect[]): void {
  if (isKnowing(state) && now >= after(state.notedAt, wordGapMs(state))) remember(state, now, effects);
}

function remember(state: State, now: Instant, effects: Effect[]): void {
  const { bindings } = state;
  state.notedAt = now;
  state.noteAt = never;
  const entries: Entry[] = [];
  for (const member of bindings.members.values()) {
    const entry = member.absences === 0 && !member.left ? aged(member, now) : null;
    if (entry !== null) entries.push(entry);
  }
  effects.push({ type: 'remember', entries });
}
