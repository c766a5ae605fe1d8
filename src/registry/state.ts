/** What a registry holds, and the bounds of it. */
import { dropOldest } from '../std/bounded.ts';
import type { MemberId } from '../std/member-id.ts';
import type { Rng } from '../std/random.ts';
import type { Seal } from '../std/seal.ts';
import { instant, never, type Instant } from '../std/time.ts';
import type { Allowance } from './allowance.ts';
import { noBuckets, type BucketSet } from './bucket-set.ts';
import type { Effect, Entry, RegistryFact } from './events.ts';
import { outranks, type NodeRecord } from './record.ts';
import type { Signed } from './sealed.ts';
import {
  bucketCount,
  bucketOf,
  emptyView,
  restate,
  type Standing,
  type View,
  type ViewHash,
} from './view-hash.ts';

/** More members than a cell may have (500) twice over. */
export const membersMax = 1_000;
/** Forgotten members whose last version is remembered, so that nothing older of them comes back. */
const tombstonesMax = 1_000;
/** Beyond so many members what each hears from many it hears too often. */
const meshMax = 64;
/** From one comparison to the next. */
export const pauseMs = 1_000;
/** The same complaint again only after this. */
const complaintMs = 1_000;

export type Version = { readonly incarnation: number; readonly sequence: number };

type Held = {
  readonly signed: Signed;
  /** Who told it, and when it came. */
  readonly author: string | null;
  readonly at: Instant;
};

/** A member that discovery knows. */
export type Member = {
  readonly id: MemberId;
  readonly peerId: string;
  readonly bucket: number;
  dead: boolean;
  /** null: nothing of it has come yet. */
  held: Held | null;
  readonly changes: Allowance;
};

/** A well-signed record whose owner discovery does not know yet. */
export type Pending = Held;

/** A connected peer, and where the comparison with it stands. */
export type Peer = {
  readonly metAt: Instant;
  /** Since when its beats show another view than ours, and which that was; `never`: they do not. */
  differsSince: Instant;
  differsFrom: ViewHash | null;
  /** We begin no comparison with it before this. */
  nextSyncAt: Instant;
  /** The views at the last comparison that a beat began, and how many before it were of the same two views. */
  compared: { readonly ours: ViewHash; readonly theirs: ViewHash } | null;
  fruitless: number;
  /** Its `hashes` are not answered before this. */
  answersAt: Instant;
  /** Buckets whose entries it owes us, first ones and replies. */
  readonly awaited: BucketSet;
  readonly echoed: BucketSet;
  /** What it has and we want, but have not asked for yet. */
  queue: Entry[];
  readonly served: Allowance;
};

export type State = {
  readonly seal: Seal;
  own: NodeRecord;
  /** null: the newest own record has not been sealed yet. */
  ownSealed: Signed | null;
  /** When the own record is told next; `never`: everyone was told the newest. */
  sayAt: Instant;
  /** Own changes before this wait for it, to go together. */
  quietUntil: Instant;
  /** When the next comparison with a random peer is due. */
  syncAt: Instant;
  /** Where members are many, beats begin no comparison before this, and the next one so much later, ms. */
  mayBeginAt: Instant;
  paceMs: number;
  rng: Rng;
  readonly view: View;
  readonly members: Map<MemberId, Member>;
  /** The same, by bucket: a comparison looks at those that differ only. */
  readonly buckets: readonly Member[][];
  readonly idByPeerId: Map<string, MemberId>;
  readonly peers: Map<string, Peer>;
  /** Those whose last beat showed another view than ours. */
  readonly differing: Set<string>;
  /** By the peer id that signed it. */
  readonly pending: Map<string, Pending>;
  readonly strangers: Allowance;
  /** By id and peer id, oldest first. */
  readonly tombstones: Map<string, Version>;
  /** Lives whose records were asked for, and until when nobody else is asked for them. */
  readonly asked: Map<string, Instant>;
  /** Peers that handed in a forgery, and until when no record is taken from them. */
  readonly muted: Map<string, Instant>;
  readonly complainedAt: Map<RegistryFact['fact'], Instant>;
};

export function init(own: NodeRecord, seal: Seal, rng: Rng): State {
  const view = emptyView();
  restate(view, own.id, null, standingOf(own, false));
  return {
    seal,
    own,
    ownSealed: null,
    sayAt: never,
    quietUntil: instant(0),
    syncAt: never,
    mayBeginAt: instant(0),
    paceMs: pauseMs,
    rng,
    view,
    members: new Map(),
    buckets: Array.from({ length: bucketCount }, () => []),
    idByPeerId: new Map(),
    peers: new Map(),
    differing: new Set(),
    pending: new Map(),
    strangers: { left: Infinity, at: instant(0) },
    tombstones: new Map(),
    asked: new Map(),
    muted: new Map(),
    complainedAt: new Map(),
  };
}

export const isMesh = ({ members }: State): boolean => members.size <= meshMax;

export const standingOf = ({ incarnation, sequence }: Version, dead: boolean): Standing => ({
  incarnation,
  sequence,
  dead,
});

/** Whether this version of a member's record is one that we would take, if its owner signed it. */
export function isNews(state: State, id: MemberId, { peerId, held }: Member, version: Version): boolean {
  if (held !== null) return outranks(version, held.signed.record);
  const buried = state.tombstones.size === 0 ? undefined : state.tombstones.get(graveOf(id, peerId));
  return buried === undefined || !outranks(buried, version);
}

export function enter(state: State, member: Member): void {
  state.members.set(member.id, member);
  state.idByPeerId.set(member.peerId, member.id);
  state.buckets[member.bucket]!.push(member);
}

export function keep(state: State, id: MemberId, member: Member, held: Held): void {
  const before = member.held === null ? null : standingOf(member.held.signed.record, member.dead);
  restate(state.view, id, before, standingOf(held.signed.record, member.dead));
  member.held = held;
  if (state.tombstones.size > 0) state.tombstones.delete(graveOf(id, member.peerId));
  state.asked.delete(lifeOf(held.signed.record));
}

export function bury(state: State, id: MemberId): void {
  const member = state.members.get(id);
  if (member === undefined) return;
  state.members.delete(id);
  const bucket = state.buckets[member.bucket]!;
  bucket.splice(bucket.indexOf(member), 1);
  if (state.idByPeerId.get(member.peerId) === id) state.idByPeerId.delete(member.peerId);
  if (member.held === null) return;
  restate(state.view, id, standingOf(member.held.signed.record, member.dead), null);
  const { incarnation, sequence } = member.held.signed.record;
  state.tombstones.set(graveOf(id, member.peerId), { incarnation, sequence });
  dropOldest(state.tombstones, tombstonesMax);
}

export const newMember = (id: MemberId, peerId: string, now: Instant): Member => ({
  id,
  peerId,
  bucket: bucketOf(id),
  dead: false,
  held: null,
  changes: { left: Infinity, at: now },
});

export const newPeer = (now: Instant): Peer => ({
  metAt: now,
  differsSince: never,
  differsFrom: null,
  nextSyncAt: now,
  compared: null,
  fruitless: 0,
  answersAt: now,
  awaited: noBuckets(),
  echoed: noBuckets(),
  queue: [],
  served: { left: Infinity, at: now },
});

export function complain(state: State, fact: RegistryFact, now: Instant): readonly Effect[] {
  const last = state.complainedAt.get(fact.fact);
  if (last !== undefined && now - last < complaintMs) return [];
  state.complainedAt.set(fact.fact, now);
  return [{ type: 'fact', fact }];
}

export const lifeOf = ({ id, incarnation }: Pick<NodeRecord, 'id' | 'incarnation'>): string =>
  `${id} ${incarnation}`;

/** A key that was given another instance, or an instance that made itself a new key, begins anew. */
const graveOf = (id: MemberId, peerId: string): string => `${id} ${peerId}`;
