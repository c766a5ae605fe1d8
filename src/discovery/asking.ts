/**
 * Strangers that others may know. Word of a newcomer goes out once, from each look that found it (telling.ts), and may be
 * lost; whoever missed it comes to hear of the newcomer all the same, by a knock or by a record, and asks some who are
 * here whose key that is. Two that know make a look at EC2 needless, and nothing need be told twice.
 */
import { after, earliest, instant, never, type Instant } from '../std/time.ts';
import { aged, holderOf, type Member } from './bindings.ts';
import type { Effect, Event } from './events.ts';
import { longAgo } from './order.ts';
import type { State } from './state.ts';
import { entriesMax, toldEpochs, vouch } from './telling.ts';

export type Asking = {
  /** Keys that came since the last question. */
  readonly about: Set<string>;
  at: Instant;
  askedAt: Instant;
};

/** Those that come in between are asked about together. */
const gapMs = 1_000;
/** Two questions of a member that asks as we do may come closer to each other than they went. */
const answerGapMs = gapMs / 2;

/** Longer than a poller needs for a look. */
const laterMs = 5_000;

/** From a node's first look to its first connections, at most. */
const startMs = 10_000;
/** EC2 lets ten nodes a second tag themselves. */
const newcomersMax = 128;

export const noQuestions = (): Asking => ({ about: new Set(), at: never, askedAt: longAgo });

/** Asks not before `at`. */
export function wonder({ asking, listing }: State, peerId: string, at: Instant): void {
  if (listing === 'own' || asking.about.size >= entriesMax) return;
  asking.about.add(peerId);
  asking.at = earliest(asking.at, instant(Math.max(after(asking.askedAt, gapMs), at)));
}

/**
 * Somebody is alive no more, who had kept its key against what others said and our own look showed: the next one may be
 * at the door, or the one that was shown.
 */
export function wonderAnew(state: State, { otherKey }: Member, now: Instant): void {
  if (otherKey !== null) wonder(state, otherKey, now);
  for (const [peerId, { isHere }] of state.strangers) if (isHere) wonder(state, peerId, now);
}

/**
 * Two others told of a key, but by looks before the last one of our own, which showed that of one who has ended. It may have
 * been shown what was a minute ago, and before we look again those others have.
 */
export const wonderLater = (state: State, peerId: string, now: Instant): void =>
  wonder(state, peerId, after(now, laterMs));

export function ask({ asking, bindings }: State, now: Instant, effects: Effect[]): void {
  if (asking.at > now) return;
  const peerIds = [...asking.about].filter((peerId) => holderOf(bindings, peerId) === undefined);
  asking.about.clear();
  asking.at = never;
  if (peerIds.length === 0) return;
  asking.askedAt = now;
  effects.push({ type: 'ask', peerIds });
}

/** [Y3] Who is not alive, or was seen too long ago, may have ended or have another key by now: only a look can tell. */
export function answer(
  { bindings, listing, plan }: State,
  { by, peerIds }: Extract<Event, { type: 'asked' }>,
  now: Instant,
  effects: Effect[],
): void {
  const asker = bindings.members.get(by);
  if (listing === 'own' || asker === undefined || now < after(asker.answeredAt, answerGapMs)) return;
  asker.answeredAt = now;
  const since = now - toldEpochs * plan.discoveryMs;
  const known = peerIds.slice(0, entriesMax).flatMap((peerId) => holderOf(bindings, peerId) ?? []);
  const sure = known.filter(({ seen, live, shownAt }) => seen.id !== by && live && shownAt >= since);
  vouch(
    sure.flatMap((member) => aged(member, now) ?? []),
    asker.seen.peerId,
    effects,
  );
}

export function welcome({ newcomers }: State, member: Member): void {
  newcomers.push(member);
  if (newcomers.length > newcomersMax) newcomers.shift();
}

/** [Y3] Whoever has just started hears of those that its own look may have missed before it can ask. */
export function meet({ newcomers, listing }: State, peerId: string, now: Instant, effects: Effect[]): void {
  const fresh = newcomers.findIndex(({ shownAt }) => now < after(shownAt, startMs));
  newcomers.splice(0, fresh < 0 ? newcomers.length : fresh);
  const entries = newcomers.flatMap((member) => aged(member, now) ?? []);
  if (listing === 'shared') vouch(entries, peerId, effects);
}
