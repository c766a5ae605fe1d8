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
/** Above the number of those who come at once: a hash and such a number make one key, which is sorted without a call. */
const keyStride = 2 ** 20;

/** Of each ring: twice what a cell may have (500), of six bytes each. They double, and a place could tell 65,536 apart. */
const startingSeats = 1_024;

/** What places a member in every ring: two hashes of its id, from which each ring's own is mixed. */
export type Seat = { readonly id: MemberId; readonly seatA: number; readonly seatB: number };

/** Its seats in the order of their hashes: where each is in `all`, and its hash. A search touches no seat, and who comes moves numbers. */
type Ring = { size: number; places: Uint16Array; hashes: Int32Array };

export type Rings<T extends Seat> = {
  readonly each: readonly Ring[];
  /** All that sit in the rings, in an order that says nothing. */
  readonly all: T[];
  /** Inserted and not seated yet: a cold start brings many between two looks, and one pass seats all of them. */
  newcomers: T[];
};

export const emptyRings = <T extends Seat>(): Rings<T> => ({
  each: Array.from({ length: ringsCount }, () => ({
    size: 0,
    places: new Uint16Array(startingSeats),
    hashes: new Int32Array(startingSeats),
  })),
  all: [],
  newcomers: [],
});

export const seatOf = (id: MemberId): { readonly seatA: number; readonly seatB: number } => ({
  seatA: fnv1a(id),
  seatB: fnv1a(id, 0x2f0b4a27) | 1,
});

export const insert = <T extends Seat>(rings: Rings<T>, seat: T): void => void rings.newcomers.push(seat);

export function remove<T extends Seat>(rings: Rings<T>, seat: T): void {
  const each = seated(rings);
  const { all } = rings;
  const place = all.findIndex(({ id }) => id === seat.id);
  if (place < 0) return;
  for (const [number, ring] of each.entries()) {
    const at = position(rings, number, seat);
    ring.places.copyWithin(at, at + 1, ring.size);
    ring.hashes.copyWithin(at, at + 1, ring.size);
    ring.size--;
  }
  // The last one takes the place that is free now.
  const last = all.at(-1)!;
  if (last.id !== seat.id)
    for (const [number, ring] of each.entries()) ring.places[position(rings, number, last)] = place;
  all[place] = last;
  all.pop();
}

export function seatCount<T extends Seat>(rings: Rings<T>): number {
  seated(rings);
  return rings.all.length;
}

/** All members by numbers from 0, in an order that says nothing. */
export const seatAt = <T extends Seat>(rings: Rings<T>, number: number): T | undefined =>
  rings.all[seated(rings)[0]!.places[number]!];

function seated<T extends Seat>(rings: Rings<T>): readonly Ring[] {
  const { each, all, newcomers } = rings;
  if (newcomers.length === 0) return each;
  rings.newcomers = [];
  // Of equal hashes the lower id comes first.
  newcomers.sort((a, b) => (a.id < b.id ? -1 : 1));
  const first = all.length;
  for (const seat of newcomers) all.push(seat);
  const keys = new Float64Array(newcomers.length);
  each.forEach((ring, number) => {
    for (const [i, seat] of newcomers.entries()) keys[i] = ringHash(seat, number) * keyStride + i;
    merge(ring, all, { keys: keys.sort(), first });
  });
  return each;
}

/** From the end, so that each seat moves once. `keys`: the hash of each comer, and how far behind `first` it is in `all`. */
function merge<T extends Seat>(
  ring: Ring,
  all: readonly T[],
  { keys, first }: { readonly keys: Float64Array; readonly first: number },
): void {
  let from = ring.size - 1;
  ring.size += keys.length;
  if (ring.hashes.length < ring.size) widen(ring);
  const { places, hashes } = ring;
  let to = ring.size - 1;
  for (let next = keys.length - 1; next >= 0; next--, to--) {
    const hash = Math.floor(keys[next]! / keyStride);
    const place = first + keys[next]! - hash * keyStride;
    const { id } = all[place]!;
    for (; from >= 0; from--, to--) {
      const other = hashes[from]!;
      if (other < hash || (other === hash && all[places[from]!]!.id < id)) break;
      places[to] = places[from]!;
      hashes[to] = other;
    }
    places[to] = place;
    hashes[to] = hash;
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
  const { all } = rings;
  const each = seated(rings);
  for (let number = 0; number < count; number++) {
    const { places, size } = each[number]!;
    const start = position(rings, number, seat);
    for (let back = 1; back <= size; back++) {
      const one = all[places[start >= back ? start - back : start - back + size]!]!;
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
  seated(rings).forEach(({ places, size }, number) => {
    const from = position(rings, number, seat);
    const own = from < size ? rings.all[places[from]!] : undefined;
    if (own?.id !== seat.id || !isLiving(own)) return;
    const at = (place: number): T => rings.all[places[place % size]!]!;
    ahead({ at, size, from, livingMax: number + 1, isLiving }, (one, before) => {
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
  walk: {
    readonly at: (place: number) => T;
    readonly size: number;
    readonly from: number;
    readonly livingMax: number;
    readonly isLiving: (one: T) => boolean;
  },
  meet: (one: T, before: T | null) => void,
): void {
  let living = 0;
  let before: T | null = null;
  for (let ahead = 1; ahead < walk.size && living < walk.livingMax; ahead++) {
    const one = walk.at(walk.from + ahead);
    const lives = walk.isLiving(one);
    if (!lives && (living > 0 || ahead > chargesMax)) continue;
    meet(one, before);
    if (!lives) continue;
    living++;
    before = one;
  }
}

/** Where the member sits, or would: equal hashes are ordered by id. */
function position({ each, all }: Rings<Seat>, number: number, seat: Seat): number {
  const { places, hashes, size } = each[number]!;
  const hash = ringHash(seat, number);
  let low = 0;
  let high = size;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const other = hashes[middle]!;
    if (other < hash || (other === hash && all[places[middle]!]!.id < seat.id)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The two hashes, mixed anew for each ring. Signed, as `Ring.hashes` holds them. */
const ringHash = ({ seatA, seatB }: Seat, number: number): number =>
  scramble(seatA ^ Math.imul(seatB, number * 2 + 1)) | 0;

function widen(ring: Ring): void {
  const { places, hashes, size } = ring;
  let seats = hashes.length;
  while (seats < size) seats *= 2;
  ring.places = new Uint16Array(seats);
  ring.places.set(places);
  ring.hashes = new Int32Array(seats);
  ring.hashes.set(hashes);
}
