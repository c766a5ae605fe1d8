/**
 * Which instance holds which key, as far as looks and vouchers have told: the table behind every admission.
 *
 * A key belongs to one instance, and whoever has it keeps it: an instance may write any key into its own tag, and must
 * not take over another's name by doing so.
 */
import type { MemberId } from '../std/member-id.ts';
import { after, never, type Instant } from '../std/time.ts';
import type { Binding, Effect, Endpoint, Entry } from './events.ts';

export type Member = {
  /** As it was shown last. Others are told of it again and again: by this very object, until something of it changes. */
  seen: Seen;
  readonly boundAt: Instant;
  /** The key before this one: an answer that still shows it is stale until `settledAt`. */
  formerPeerId: string | null;
  settledAt: Instant;
  /** Membership's word. */
  live: boolean;
  left: boolean;
  /** Known from an earlier life of ours only, which is too long ago to count as word of today. */
  remembered: boolean;
  /** Epochs in which it was found absent since it was last listed or live. */
  absences: number;
  absentEpoch: number;
  /** When it was first not listed; never: it is. */
  absentSince: Instant;
};

export type Bindings = {
  readonly members: Map<MemberId, Member>;
  /** Ourselves among them: nobody else has our key. */
  readonly idByPeerId: Map<string, MemberId>;
};

/** More than a cell may have (500) twice over. */
const membersMax = 1_000;
/** EC2 is eventually consistent: "a couple of seconds ... up to five minutes", in practice well below this. */
const tagsSettleMs = 60_000;

export const noBindings = (self: { readonly id: MemberId; readonly peerId: string }): Bindings => ({
  members: new Map(),
  idByPeerId: new Map([[self.peerId, self.id]]),
});

export function holderOf({ members, idByPeerId }: Bindings, peerId: string): Member | undefined {
  const id = idByPeerId.get(peerId);
  return id === undefined ? undefined : members.get(id);
}

export const isVoter = ({ role }: { readonly role: string }): boolean => role !== 'operator';

export type Seen = Omit<Entry, 'address'> & { readonly address: Endpoint | null };
/** `former`: the key that it had until now; null: it has none but this. */
export type Bound = { readonly type: 'bound'; readonly member: Member; readonly former: string | null };
type Outcome =
  | Bound
  /** Known already, or of no use yet: nobody could reach it. */
  | { readonly type: 'same' }
  | { readonly type: 'full' }
  /** Another instance has this key. */
  | { readonly type: 'doubled'; readonly holder: MemberId };

export function bind(bindings: Bindings, seen: Seen, now: Instant): Outcome {
  const holder = bindings.idByPeerId.get(seen.peerId);
  if (holder !== undefined && holder !== seen.id) return { type: 'doubled', holder };
  const known = bindings.members.get(seen.id);
  if (known !== undefined) return rebind(bindings, known, seen, now);
  if (seen.address === null && isVoter(seen)) return { type: 'same' };
  if (bindings.members.size >= membersMax) return { type: 'full' };
  const member: Member = {
    seen,
    boundAt: now,
    formerPeerId: null,
    settledAt: now,
    live: false,
    left: false,
    remembered: false,
    absences: 0,
    absentEpoch: -1,
    absentSince: never,
  };
  bindings.members.set(seen.id, member);
  bindings.idByPeerId.set(seen.peerId, seen.id);
  return { type: 'bound', member, former: null };
}

function rebind(bindings: Bindings, member: Member, shown: Seen, now: Instant): Outcome {
  const { seen: before } = member;
  const seen = shown.address === null ? { ...shown, address: before.address } : shown;
  if (isSame(before, seen)) return { type: 'same' };
  if (seen.peerId === member.formerPeerId && now < member.settledAt) return { type: 'same' };
  const former = seen.peerId === before.peerId ? null : before.peerId;
  if (former !== null) {
    bindings.idByPeerId.delete(former);
    bindings.idByPeerId.set(seen.peerId, seen.id);
    Object.assign(member, { formerPeerId: former, settledAt: after(now, tagsSettleMs) });
  }
  member.seen = seen;
  return { type: 'bound', member, former };
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

export const barred = (peerId: string): Effect => ({ type: 'barred', peerId });

export function boundEffect({ seen: { id, peerId, address, zone, role } }: Member): Effect {
  const binding: Binding = { id, peerId, address, zone, role, voter: isVoter({ role }) };
  return { type: 'bound', binding };
}

/** None of a member without an address: whoever lists such a one needs no voucher. */
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

/** Membership's word of a member. */
export function judge(
  { members }: Bindings,
  { id, live, left }: { readonly id: MemberId; readonly live: boolean; readonly left: boolean },
): void {
  const member = members.get(id);
  if (member === undefined) return;
  Object.assign(member, { live, left });
  if (live) Object.assign(member, { absences: 0, absentSince: never });
}
