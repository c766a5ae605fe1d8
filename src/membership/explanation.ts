import { isRefusedByOthers } from './ballots.ts';
import type { MemberId } from '../std/member-id.ts';
import type { Instant } from '../std/time.ts';
import type { Evidence } from './events.ts';
import type { Health } from './health.ts';
import { observersOf } from './rings.ts';
import type { State } from './state.ts';
import { isLiving, type Member } from './member.ts';

export const byPeerId = (state: State, peerId: string): Member | undefined =>
  state.memberByPeerId.get(peerId);

export const memberOf = (state: State, id: MemberId): Member | undefined => state.members.get(id);

/** It is dead by the word of others, so that no further vote on it says anything new. */
export function isSettled(state: State, id: MemberId, now: Instant): boolean {
  const member = state.members.get(id);
  if (member?.health !== 'dead' || member.poll === null) return false;
  return isRefusedByOthers(member.poll, state.self.id, now);
}

/** Everyone else, in the order in which they were bound. */
export const members = (state: State): IterableIterator<Member> => state.members.values();

/** Those with a connection. */
export const linked = (state: State): ReadonlySet<Member> => state.links;

/** Ages and waits in ms, so that it means the same to whoever reads it elsewhere. */
export type Explanation = {
  readonly id: MemberId;
  readonly health: Health;
  /** What brought it to this health, and how long ago. */
  readonly why: string;
  readonly sinceMs: number;
  readonly connected: boolean;
  /** Since its last word on its own connection; null: it never had one with us, as we with ourselves. */
  readonly heardMs: number | null;
  readonly incarnation: number;
  readonly voter: boolean;
  /** What we ourselves hold against it. */
  readonly doubt: Member['doubt'];
  /** By our view of the rings; the first two tell when it is slow. */
  readonly observers: readonly MemberId[];
  /** Our own watch of it; null: others watch it. */
  readonly watch: {
    readonly role: 'observing' | 'lingering' | 'doubting';
    readonly finding: Evidence | null;
    readonly findingMs: number | null;
    readonly told: Evidence | null;
  } | null;
  readonly votes: readonly {
    readonly by: MemberId;
    readonly evidence: Evidence | 'alive';
    readonly ageMs: number;
    /** It counts for so much longer. */
    readonly leftMs: number;
  }[];
  /** Who told us that it is dead, in digests. */
  readonly rumours: readonly { readonly by: MemberId; readonly ageMs: number }[];
  /** null: we are connected, or do not want to be. */
  readonly dial: { readonly failures: number; readonly isUnderWay: boolean; readonly nextMs: number } | null;
  /** It has asked for our beats. */
  readonly watchesUs: boolean;
};

/** All that we know of a member, ourselves too, from whom, and how old; null: nobody bound it. */
export function explain(state: State, id: MemberId, now: Instant): Explanation | null {
  const member = id === state.self.id ? state.self : state.members.get(id);
  if (member === undefined) return null;
  const { health, why, connected, incarnation, voter, doubt, watch, link } = member;
  const observers = observersOf(state.rings, member, isLiving).map((observer) => observer.id);
  const rumours = [...((member === state.self ? state.accusers : state.rumours.get(id)?.holders) ?? [])];
  return {
    ...{ id, health, why, connected, incarnation, voter, doubt },
    sinceMs: now - member.since,
    heardMs: member.met ? now - member.heardAt : null,
    observers: voter ? observers : [],
    watch: watch === null ? null : watchExplained(watch, now),
    votes: votesOn(member, now),
    rumours: rumours.map(([by, at]) => ({ by, ageMs: now - at })),
    dial: link === null ? null : dialExplained(link, now),
    watchesUs: state.watchers.includes(member.peerId),
  };
}

function watchExplained(
  { role, finding, foundAt, told }: NonNullable<Member['watch']>,
  now: Instant,
): Explanation['watch'] {
  const findingMs = finding === null ? null : now - foundAt;
  return { role, finding, findingMs, told: told?.evidence ?? null };
}

const dialExplained = (
  { failures, dialledAt, nextAt }: NonNullable<Member['link']>,
  now: Instant,
): Explanation['dial'] => ({
  failures,
  isUnderWay: dialledAt !== null,
  nextMs: Math.max(0, nextAt - now),
});

function votesOn({ poll }: Member, now: Instant): Explanation['votes'] {
  if (poll === null) return [];
  return [...poll.ballots]
    .filter(([, { until }]) => now < until)
    .map(([by, { evidence, at, until }]) => ({ by, evidence, ageMs: now - at, leftMs: until - now }));
}
