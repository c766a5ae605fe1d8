/**
 * Who observes whom: eight rings, each an order of all members by a hash of its own (Rapid, Suresh et al., ATC 2018,
 * section 4.1). In each ring the living member just before a subject observes it; where that one observes it already in
 * an earlier ring, the one before it does. So every member has as many observers as there are others, up to eight,
 * all distinct, and everybody who knows the same members names the same ones.
 *
 * The rings hash instance ids, which EC2 draws, and not peer ids, which an intruder could draw until it sits where it
 * likes. Members held dead keep their seats and are stepped over: who would observe them, were they back, redials them.
 */
import type { MemberId } from '../std/member-id.ts';

/** Eight observers: four that err together are needed for a false death, and four may fail with the subject. */
const ringsCount = 8;
/** Dead neighbours that one ring makes us redial; the others have neighbours of their own. */
const chargesMax = 64;

/** What places a member in every ring; two hashes of its id, so that no ring need be stored. */
export type Seat = { readonly id: MemberId; readonly seatA: number; readonly seatB: number };

export type Rings<T extends Seat> = readonly T[][];

export const emptyRings = <T extends Seat>(): Rings<T> => Array.from({ length: ringsCount }, () => []);

export const seatOf = (id: MemberId): { readonly seatA: number; readonly seatB: number } => ({
  seatA: fnv1a(id, 0x811c9dc5),
  seatB: fnv1a(id, 0x2f0b4a27) | 1,
});

export function insert<T extends Seat>(rings: Rings<T>, seat: T): void {
  rings.forEach((ring, number) => ring.splice(position(ring, number, seat), 0, seat));
}

export function remove<T extends Seat>(rings: Rings<T>, seat: T): void {
  rings.forEach((ring, number) => {
    const at = position(ring, number, seat);
    if (ring[at]?.id === seat.id) ring.splice(at, 1);
  });
}

/** The first two are the designated ones, who alone tell that it is slow. */
export function observersOf<T extends Seat>(rings: Rings<T>, seat: Seat, isLiving: (one: T) => boolean): T[] {
  const observers: T[] = [];
  for (let number = 0; number < rings.length; number++) {
    const ring = rings[number] ?? [];
    const start = position(ring, number, seat);
    for (let back = 1; back <= ring.length; back++) {
      const one = ring[(start - back + ring.length) % ring.length];
      if (one === undefined || one.id === seat.id || !isLiving(one) || observers.includes(one)) continue;
      observers.push(one);
      break;
    }
    if (observers.length <= number) break; // everybody observes it already
  }
  return observers;
}

/** Whom this member observes, and the dead whom it would. The inverse of `observersOf`. */
export function subjectsOf<T extends Seat>(
  rings: Rings<T>,
  seat: Seat,
  isLiving: (one: T) => boolean,
): { readonly subjects: readonly T[]; readonly charges: readonly T[] } {
  const near = new Set<T>();
  rings.forEach((ring, number) =>
    addNear(near, ring, { from: position(ring, number, seat), seat, isLiving }),
  );
  const observed = [...near].filter((one) =>
    observersOf(rings, one, isLiving).some((observer) => observer.id === seat.id),
  );
  return {
    subjects: observed.filter(isLiving),
    charges: observed.filter((one) => !isLiving(one)),
  };
}

/** Who observes a member sits at most as many living seats before it as there are rings to be taken in already. */
function addNear<T extends Seat>(
  near: Set<T>,
  ring: readonly T[],
  walk: { readonly from: number; readonly seat: Seat; readonly isLiving: (one: T) => boolean },
): void {
  let living = 0;
  for (let ahead = 1; ahead < ring.length && living < ringsCount; ahead++) {
    const one = ring[(walk.from + ahead) % ring.length];
    if (one === undefined || one.id === walk.seat.id) continue;
    if (walk.isLiving(one)) living++;
    else if (living > 0 || ahead > chargesMax) continue;
    near.add(one);
  }
}

/** Where the member sits, or would: equal hashes are ordered by id. */
function position<T extends Seat>(ring: readonly T[], number: number, seat: Seat): number {
  const hash = ringHash(seat, number);
  let low = 0;
  let high = ring.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const other = ring[middle] as T;
    const otherHash = ringHash(other, number);
    if (otherHash < hash || (otherHash === hash && other.id < seat.id)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The finalizer of MurmurHash3 over the two hashes, mixed anew for each ring. */
function ringHash({ seatA, seatB }: Seat, number: number): number {
  let hash = seatA ^ Math.imul(seatB, number * 2 + 1);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

function fnv1a(text: string, basis: number): number {
  let hash = basis | 0;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash;
}
