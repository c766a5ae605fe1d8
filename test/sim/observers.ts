/** Who observes a member: by the machine's own rings, over whoever is there. */
import { insert, emptyRings, observersOf, seatOf, type Seat } from '../../src/membership/rings.ts';
import { memberId, type MemberId } from '../../src/std/member-id.ts';
import type { Resident } from './resident.ts';

/** A protocol constant, said here once more: whoever changes the rings must mean it. */
export const observersMost = 7;

/** Of the observers of a member, how many a fault may have kept from it. */
export type Reach = { readonly kept: number; readonly of: number };

/** Whether those kept from it, and whoever lies, are as many as make a death. */
export const isCutOff = ({ kept, of }: Reach, liars: number): boolean =>
  kept > 0 && kept + liars >= (of <= 3 ? of : Math.floor(of / 2) + 1);

/** False deaths are rare enough to build the rings anew. */
export function observersAmong(id: MemberId, residents: readonly Resident[]): Resident[] {
  const rings = emptyRings<Seat & { readonly resident: Resident }>();
  for (const resident of residents) {
    insert(rings, { id: memberId(resident.id), ...seatOf(memberId(resident.id)), resident });
  }
  return observersOf(rings, { id, ...seatOf(id) }, () => true).map(({ resident }) => resident);
}
