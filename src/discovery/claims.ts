/**
 * What others say of instances that we have not seen ourselves. One voice is a hint and changes nothing; two distinct
 * members that say the same within two epochs are as good as a look of our own.
 *
 * A member that lies can fill its own share of this table and nobody else's.
 */
import type { MemberId } from '../std/member-id.ts';
import { after, earliest, instant, type Instant } from '../std/time.ts';
import { isSame } from './bindings.ts';
import type { Entry } from './events.ts';

type Claim = {
  readonly by: MemberId;
  readonly says: Entry;
  readonly at: Instant;
  /** When its look was, or later, by our own clock. */
  readonly lookedAt: Instant;
};

export type Claims = {
  readonly bySubject: Map<MemberId, Claim[]>;
  /** How many claims of each voucher are held. */
  readonly held: Map<MemberId, number>;
  size: number;
};

/** As many as there may be members: a cold start told by one voice. */
const perVoucherMax = 1_000;
/** Together: eight liars with all their share; what is beyond is dropped, and then a look finds it. */
const claimsMax = 8_192;

export const noClaims = (): Claims => ({ bySubject: new Map(), held: new Map(), size: 0 });

/**
 * When this makes two that agree: the older of their looks. null: not yet. Said again by the same voucher, it replaces what
 * that one said before.
 */
export function agreement(
  claims: Claims,
  { by, entry }: { readonly by: MemberId; readonly entry: Entry },
  { now, windowMs }: { readonly now: Instant; readonly windowMs: number },
): Instant | null {
  const about = claims.bySubject.get(entry.id) ?? [];
  const lookedAt = after(now, -(entry.ageMs ?? 0));
  const others = about.filter(
    (claim) => claim.by !== by && agree(claim.says, entry) && now - claim.at <= windowMs,
  );
  if (others.length > 0) {
    settle(claims, entry.id);
    return earliest(lookedAt, instant(Math.max(...others.map((claim) => claim.lookedAt))));
  }
  const before = about.findIndex((claim) => claim.by === by);
  if (before >= 0) {
    about[before] = { by, says: entry, at: now, lookedAt };
    return null;
  }
  const held = claims.held.get(by) ?? 0;
  if (held >= perVoucherMax || claims.size >= claimsMax) return null;
  about.push({ by, says: entry, at: now, lookedAt });
  claims.bySubject.set(entry.id, about);
  claims.held.set(by, held + 1);
  claims.size++;
  return null;
}

/** Forgets what was said of an instance: it is known by now. */
export function settle(claims: Claims, id: MemberId): void {
  for (const { by } of claims.bySubject.get(id) ?? []) release(claims, by);
  claims.bySubject.delete(id);
}

/** Drops what is too old to count. Once in an epoch. */
export function expire(claims: Claims, { now, windowMs }: { now: Instant; windowMs: number }): void {
  for (const [id, about] of claims.bySubject) {
    const fresh = about.filter(({ at }) => now - at <= windowMs);
    for (const { by, at } of about) if (now - at > windowMs) release(claims, by);
    if (fresh.length === 0) claims.bySubject.delete(id);
    else claims.bySubject.set(id, fresh);
  }
}

function release(claims: Claims, by: MemberId): void {
  const held = (claims.held.get(by) ?? 1) - 1;
  claims.size--;
  if (held <= 0) claims.held.delete(by);
  else claims.held.set(by, held);
}

/** Of one that is gone, nothing else need agree. */
const agree = (a: Entry, b: Entry): boolean =>
  a.left === true || b.left === true ? a.left === b.left : isSame(a, b);
