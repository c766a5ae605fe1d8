/**
 * Who observes whom: seven rings, each an order of all members by a hash of its own (Rapid, Suresh et al., ATC 2018,
 * section 4.1). In each ring the living member just before a subject observes it; where that one observes it already in
 * an earlier ring, the one before it does. So every member has as many observers as there are others, up to seven,
 * all distinct, and everybody who knows the same members names the same ones.
 *
 * The rings hash instance ids, which EC2 draws, and not peer ids, which an intruder could draw until it sits where it
 * likes. Members held dead keep their seats and are stepped over: who would observe them, were they back, redials them.
 */
import { fnv1a, scramble } from '../std/hash.ts';
import type { MemberId } from '../std/member-id.ts';

/** Seven observers: four that err together are needed for a false death, and three may fail with the subject. */
const ringsCount = 7;
/** Dead neighbours that one ring makes us redial; the others have neighbours of their own. */
const chargesMax = 64;

/** What places a member in every ring: two hashes of its id, from which each ring's own is mixed. */
export type Seat = { readonly id: MemberId; readonly seatA: number; readonly seatB: number };

/** Seats in the order of their hashes, and those hashes beside them, so that a search touches no seat. */
type Ring<T extends Seat> = { readonly seats: T[]; hashes: Int32Array };

export type Rings<T extends Seat> = {
  readonly each: readonly Ring<T>[];
  /** Inserted and not seated yet: a cold start brings many between two looks, and one pass seats all of them. */
  newcomers: T[];
};

export const emptyRings = <T extends Seat>(): Rings<T> => ({
  each: Array.from({ length: ringsCount }, () => ({ seats: [], hashes: new Int32Array(8) })),
  newcomers: [],
});

export const seatOf = (id: MemberId): { readonly seatA: number; readonly seatB: number } => ({
  seatA: fnv1a(id),
  seatB: fnv1a(id, 0x2f0b4a27) | 1,
});

export const insert = <T extends Seat>(rings: Rings<T>, seat: T): void => void rings.newcomers.push(seat);

export function remove<T extends Seat>(rings: Rings<T>, seat: T): void {
  seated(rings).forEach((ring, number) => {
    const at = position(ring, ringHash(seat, number), seat.id);
    if (ring.seats[at]?.id !== seat.id) return;
    ring.hashes.copyWithin(at, at + 1, ring.seats.length);
    ring.seats.splice(at, 1);
  });
}

/** All members, in an order that says nothing. */
export const seatsOf = <T extends Seat>(rings: Rings<T>): readonly T[] => seated(rings)[0]?.seats ?? [];

function seated<T extends Seat>(rings: Rings<T>): readonly Ring<T>[] {
  const { each, newcomers } = rings;
  if (newcomers.length === 0) return each;
  rings.newcomers = [];
  each.forEach((ring, number) => {
    const comers = newcomers.map((seat) => ({ seat, hash: ringHash(seat, number) }));
    merge(
      ring,
      comers.sort((a, b) => a.hash - b.hash || (a.seat.id < b.seat.id ? -1 : 1)),
    );
  });
  return each;
}

/** From the end, so that each seat moves once. */
function merge<T extends Seat>(
  ring: Ring<T>,
  comers: readonly { readonly seat: T; readonly hash: number }[],
): void {
  const { seats } = ring;
  let from = seats.length - 1;
  for (const { seat } of comers) seats.push(seat);
  while (ring.hashes.length < seats.length) ring.hashes = doubled(ring.hashes);
  const { hashes } = ring;
  let to = seats.length - 1;
  for (let next = comers.length - 1; next >= 0; to--) {
    const { seat, hash } = comers[next]!;
    if (from >= 0 && (hashes[from]! > hash || (hashes[from] === hash && seats[from]!.id > seat.id))) {
      seats[to] = seats[from]!;
      hashes[to] = hashes[from--]!;
    } else {
      seats[to] = seat;
      hashes[to] = hash;
      next--;
    }
  }
}

/** The first two are the designated ones, who alone tell that it is slow. */
export const observersOf = <T extends Seat>(
  rings: Rings<T>,
  seat: Seat,
  isLiving: (one: T) => boolean,
): T[] => observersIn(rings, ringsCount, { seat, isLiving });

/** In so many of the rings, from the first one on. */
function observersIn<T extends Seat>(
  rings: Rings<T>,
  count: number,
  { seat, isLiving }: { readonly seat: Seat; readonly isLiving: (one: T) => boolean },
): T[] {
  const observers: T[] = [];
  const each = seated(rings);
  for (let number = 0; number < count; number++) {
    const ring = each[number]!;
    const { seats } = ring;
    const start = position(ring, ringHash(seat, number), seat.id);
    for (let back = 1; back <= seats.length; back++) {
      const one = seats[start >= back ? start - back : start - back + seats.length]!;
      if (one.id === seat.id || !isLiving(one) || observers.includes(one)) continue;
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
  const observed = new Map<T, boolean>();
  seated(rings).forEach((ring, number) => {
    const from = position(ring, ringHash(seat, number), seat.id);
    const own = ring.seats[from];
    if (own?.id !== seat.id || !isLiving(own)) return;
    ahead(ring.seats, { from, own, livingMax: number + 1, isLiving }, (one, before) => {
      if (observed.get(one) === true) return;
      // Who sits just behind us we observe, here or in an earlier ring; who does not, only if the one between does so.
      const isOurs =
        before === null ||
        (observersIn(rings, number, { seat: one, isLiving }).includes(before) &&
          observersOf(rings, one, isLiving).includes(own));
      observed.set(one, isOurs);
    });
  });
  const ours = [...observed].filter(([, isOurs]) => isOurs).map(([one]) => one);
  return { subjects: ours.filter(isLiving), charges: ours.filter((one) => !isLiving(one)) };
}

/**
 * Who observes a member sits at most as many living seats before it as earlier rings may have taken in already. `meet`
 * is told the living one just before each; null: it is ourselves.
 */
function ahead<T extends Seat>(
  seats: readonly T[],
  walk: {
    readonly from: number;
    readonly own: T;
    readonly livingMax: number;
    readonly isLiving: (one: T) => boolean;
  },
  meet: (one: T, before: T | null) => void,
): void {
  let living = 0;
  let before: T | null = null;
  for (let ahead = 1; ahead < seats.length && living < walk.livingMax; ahead++) {
    const one = seats[(walk.from + ahead) % seats.length]!;
    const lives = walk.isLiving(one);
    if (!lives && (living > 0 || ahead > chargesMax)) continue;
    meet(one, before);
    if (!lives) continue;
    living++;
    before = one;
  }
}

/** Where the member sits, or would: equal hashes are ordered by id. */
function position({ seats, hashes }: Ring<Seat>, hash: number, id: MemberId): number {
  let low = 0;
  let high = seats.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const other = hashes[middle]!;
    if (other < hash || (other === hash && seats[middle]!.id < id)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The two hashes, mixed anew for each ring. Signed, as `Ring.hashes` holds them. */
const ringHash = ({ seatA, seatB }: Seat, number: number): number =>
  scramble(seatA ^ Math.imul(seatB, number * 2 + 1)) | 0;

function doubled(hashes: Int32Array): Int32Array<ArrayBuffer> {
  const wider = new Int32Array(2 * hashes.length);
  wider.set(hashes);
  return wider;
}
