/**
 * Which instance holds which key, as far as looks and vouchers have told: the table behind every admission.
 *
 * A key belongs to one instance, and whoever has it keeps it: an instance may write any key into its own tag, and must
 * not take over another's name by doing so.
 */
import type { MemberId } from '../std/member-id.ts';
import { never, type Instant } from '../std/time.ts';
import type { Binding, Effect, Endpoint, Entry } from './events.ts';
import {
  firstShown,
  isRival,
  longAgo,
  replaceKey,
  showAgain,
  supersedes,
  type Shown,
  type Sight,
} from './order.ts';

export type Member = Shown & {
  /** As it was shown last. Others are told of it again and again: by this very object, until something of it changes. */
  seen: Seen;
  /** Membership's word. */
  live: boolean;
  /** It was alive with this key, and is no more. */
  hasEnded: boolean;
  /** With us, by this key. */
  connected: boolean;
  left: boolean;
  /** It has its key because the key's owner has signed to be this instance. */
  isOwners: boolean;
  /** The key that our own last look showed, where it gave way to this one; null: it did not. */
  otherKey: string | null;
  /** What was shown of it with another key, and takes the place of this one unless this one's holder is there; null: nothing. */
  rival: { readonly seen: Seen; readonly sight: Sight } | null;
  /** Known from an earlier life of ours only, which is too long ago to count as word of today. */
  remembered: boolean;
  /** Epochs in which it was found absent since it was last listed or live. */
  absences: number;
  absentEpoch: number;
  /** When it was first not listed; never: it is. */
  absentSince: Instant;
  /** When a question of its was last answered. */
  answeredAt: Instant;
};

export type Bindings = {
  readonly members: Map<MemberId, Member>;
  /** Ourselves among them: nobody else has our key. */
  readonly idByPeerId: Map<string, MemberId>;
};

/** More than a cell may have (500) twice over. */
const membersMax = 1_000;

export const noBindings = (self: { readonly id: MemberId; readonly peerId: string }): Bindings => ({
  members: new Map(),
  idByPeerId: new Map([[self.peerId, self.id]]),
});

export function holderOf({ members, idByPeerId }: Bindings, peerId: string): Member | undefined {
  const id = idByPeerId.get(peerId);
  return id === undefined ? undefined : members.get(id);
}

export const isVoter = ({ role }: { readonly role: string }): boolean => role !== 'operator';

export type Seen = Omit<Entry, 'address' | 'ageMs'> & { readonly address: Endpoint | null };
/** `former`: the key that it had until now; null: it has none but this. */
export type Bound = { readonly type: 'bound'; readonly member: Member; readonly former: string | null };
export type Outcome =
  | Bound
  /** Known already, or of no use yet: nobody could reach it. */
  | { readonly type: 'same' }
  /** It has another key, and which is newer would tell whoever is at its address. */
  | { readonly type: 'disputed' }
  | { readonly type: 'full' }
  /** Another instance has this key. */
  | { readonly type: 'doubled'; readonly holder: MemberId };

export function bind(bindings: Bindings, seen: Seen, sight: Sight): Outcome {
  const holder = bindings.idByPeerId.get(seen.peerId);
  if (holder !== undefined && holder !== seen.id) return { type: 'doubled', holder };
  const known = bindings.members.get(seen.id);
  if (known !== undefined) return rebind(bindings, known, seen, sight);
  if (seen.address === null && isVoter(seen)) return { type: 'same' };
  if (bindings.members.size >= membersMax) return { type: 'full' };
  const member = newMember(seen, sight);
  bindings.members.set(seen.id, member);
  bindings.idByPeerId.set(seen.peerId, seen.id);
  return { type: 'bound', member, former: null };
}

/** Field by field: what is made by spreading keeps most of its fields elsewhere, which costs a look-up each time. */
function newMember(seen: Seen, sight: Sight): Member {
  const { shownFrom, shownAt, ownLookAt, former } = firstShown(sight);
  return {
    shownFrom,
    shownAt,
    ownLookAt,
    former,
    seen,
    live: false,
    hasEnded: false,
    connected: false,
    left: false,
    isOwners: false,
    otherKey: null,
    rival: null,
    remembered: false,
    absences: 0,
    absentEpoch: -1,
    absentSince: never,
    answeredAt: longAgo,
  };
}

function rebind(bindings: Bindings, member: Member, shown: Seen, sight: Sight): Outcome {
  const { seen: before } = member;
  const seen = shown.address === null ? { ...shown, address: before.address } : shown;
  const former = seen.peerId === before.peerId ? null : before.peerId;
  const gives = former !== null && !supersedes(seen.peerId, sight, member);
  if (sight.isOwn) member.otherKey = gives ? seen.peerId : null;
  if (gives) {
    if (!isRival(seen.peerId, sight, member)) return { type: 'same' };
    member.rival = { seen, sight };
    return { type: member.connected ? 'same' : 'disputed' };
  }
  if (former !== null || sight.at >= (member.rival?.sight.at ?? longAgo)) member.rival = null;
  if (former === null) {
    const isKnown = sight.at < member.shownAt || isSame(before, seen);
    showAgain(member, sight);
    if (isKnown) return { type: 'same' };
  } else {
    bindings.idByPeerId.delete(former);
    bindings.idByPeerId.set(seen.peerId, seen.id);
    replaceKey(member, former, sight);
    Object.assign(member, { live: false, hasEnded: false, connected: false, left: false });
    Object.assign(member, { isOwners: false, otherKey: null });
  }
  member.seen = seen;
  return { type: 'bound', member, former };
}

/** Whose place is needed first where there is none left; null: nobody is missing. Who is alive never is. */
export function longestMissing({ members }: Bindings): Member | null {
  let first: Member | null = null;
  for (const member of members.values())
    if (member.absentSince < (first?.absentSince ?? never)) first = member;
  return first;
}

/** Of one and the same instance. */
export const isSame = (a: Seen, b: Seen): boolean =>
  a === b ||
  (a.peerId === b.peerId && isSamePlace(a.address, b.address) && a.zone === b.zone && a.role === b.role);

const isSamePlace = (a: Endpoint | null, b: Endpoint | null): boolean =>
  a === b || (a?.host === b?.host && a?.port === b?.port);

export function unbind({ members, idByPeerId }: Bindings, { seen }: Member): readonly Effect[] {
  const { id, peerId } = seen;
  members.delete(id);
  idByPeerId.delete(peerId);
  return [{ type: 'unbound', id }, barred(peerId)];
}

export const doubled = (id: MemberId, holder: MemberId): Effect => ({
  type: 'fact',
  fact: { fact: 'discovery.failed', why: `${id} has tagged itself with the key of ${holder}` },
});

export const disputed = (id: MemberId): Effect => ({ type: 'disputed', id });

export const barred = (peerId: string): Effect => ({ type: 'barred', peerId });

export function boundEffect({ seen: { id, peerId, address, zone, role } }: Member): Effect {
  const binding: Binding = { id, peerId, address, zone, role, voter: isVoter({ role }) };
  return { type: 'bound', binding };
}

/** How long ago the look was that showed it, for whoever was not told at once. At least 1 ms: by it such word is known. */
export function aged({ seen, shownAt }: Member, now: Instant): Entry | null {
  if (!isTold(seen)) return null;
  const { id, peerId, address, zone, role } = seen;
  return { id, peerId, address, zone, role, ageMs: Math.max(1, Math.ceil(now - shownAt)) };
}

/** Without the age of its word, which is another one when it is told on. */
export function seenIn(entry: Entry): Seen {
  if (entry.ageMs === undefined) return entry;
  const { id, peerId, address, zone, role } = entry;
  return { id, peerId, address, zone, role };
}

/** Not told of a member without an address: whoever lists such a one needs no voucher. */
export const isTold = (seen: Seen): seen is Entry => seen.address !== null;

export function* liveVoters({ members }: Bindings): Iterable<MemberId> {
  for (const { live, seen } of members.values()) if (live && isVoter(seen)) yield seen.id;
}

/** Whether somebody else's word says anything that we do not know. */
export function isNews({ members }: Bindings, entry: Entry): boolean {
  const member = members.get(entry.id);
  if (entry.left === true) return member !== undefined && !member.live;
  return member === undefined || !isSame(member.seen, entry);
}

/** It is there, by this key. */
export function connect(bindings: Bindings, peerId: string): void {
  const member = holderOf(bindings, peerId);
  if (member !== undefined) Object.assign(member, { connected: true, rival: null });
}

/** It may have been gone for long while its connection stood. */
export function part(bindings: Bindings, peerId: string): readonly Effect[] {
  const member = holderOf(bindings, peerId);
  if (member === undefined) return [];
  member.connected = false;
  return member.rival === null ? [] : [disputed(member.seen.id)];
}

/** Membership's word of a member. */
export function judge(
  { members }: Bindings,
  { id, live, left }: { readonly id: MemberId; readonly live: boolean; readonly left: boolean },
): void {
  const member = members.get(id);
  if (member === undefined) return;
  member.hasEnded = !live && (member.live || member.hasEnded);
  member.live = live;
  member.left = left;
  if (live) forgetAbsences(member);
}

/** Of who is listed, or alive. */
export function forgetAbsences(member: Member): void {
  member.absences = 0;
  member.absentSince = never;
}
