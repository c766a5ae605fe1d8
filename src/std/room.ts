/**
 * One room that many share, of bytes or of places, so that none of them can take it from the others. An equal part of it
 * is anybody's own, and more than that as long as nobody lacks it: what lies idle helps nobody. When the room is short,
 * what somebody has beyond its part is what gives way, or is refused, first.
 *
 *   what can be taken away again (copies)      who has most gives way, which may be the one that asks      `most`
 *   what cannot (answers that run)             the last quarter is only for those within their part        `lackOf`
 *
 * The first is the push-out of a switch's shared memory (Wei, Coyle and Hsiao, GLOBECOM 1991), the second a threshold for
 * each queue in it (Choudhury and Hahne, IEEE/ACM Transactions on Networking 6(2), 1998).
 */

/** What each has of something; who has nothing is not remembered. */
export type Shares<O> = { taken: number; readonly byOwner: Map<O, number> };
export type Room<O = string> = Shares<O> & { readonly max: number };

/** Shares with nobody: where the API is open, or has one key, there is no other for whom anything could be kept. */
export const everyone = '';

/** Enough for others to begin at once, while one alone still has three quarters. */
const keptShare = 1 / 4;

/** `full`: for anybody. `part`: for this one, which has its part, of what is short. */
export type Lack = 'full' | 'part';

export const newShares = <O = string>(): Shares<O> => ({ taken: 0, byOwner: new Map() });
export const newRoom = <O = string>(max: number): Room<O> => ({ ...newShares<O>(), max });

/** Why so much more is not to be had; null: it is. For what nobody can take away again. */
export function lackOf(room: Room, owner: string, amount: number): Lack | null {
  const left = room.max - room.taken - amount;
  if (left < 0) return 'full';
  if (owner === everyone || left >= room.max * keptShare) return null;
  const own = room.byOwner.get(owner) ?? 0;
  // Of those that have something, of the one that asks, and of one that may come.
  const parts = room.byOwner.size + (own === 0 ? 2 : 1);
  return (own + amount) * parts <= room.max ? null : 'part';
}

export function put<O>(shares: Shares<O>, owner: O, amount: number): void {
  if (amount === 0) return;
  shares.taken += amount;
  shares.byOwner.set(owner, (shares.byOwner.get(owner) ?? 0) + amount);
}

export function giveBack<O>(shares: Shares<O>, owner: O, amount: number): void {
  const left = (shares.byOwner.get(owner) ?? 0) - amount;
  shares.taken -= amount;
  if (left === 0) shares.byOwner.delete(owner);
  else shares.byOwner.set(owner, left);
}

/** Who has most, `asking` with what it asks for: of equals that one, for its asking ends there. undefined: nobody has any. */
export function most<O>({ byOwner }: Shares<O>, asking: Asking<O> | null): O | undefined {
  let first = asking?.owner;
  let size = asking === null ? 0 : (byOwner.get(asking.owner) ?? 0) + asking.amount;
  for (const [owner, own] of byOwner) {
    if (own <= size) continue;
    first = owner;
    size = own;
  }
  return first;
}

type Asking<O> = { readonly owner: O; readonly amount: number };
