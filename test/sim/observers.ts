/** Who observes a member: by the machine's own rings, over whoever is there. */
import { insert, emptyRings, observersOf, seatOf, type Seat } from '../../src/membership/rings.ts';
import { memberId, type MemberId } from '../../src/std/member-id.ts';
import type { Resident } from './resident.ts';

/** False deaths are rare enough to build the rings anew. */
export function observersAmong(id: MemberId, residents: readonly Resident[]): Resident[] {
  const rings = emptyRings<Seat & { readonly resident: Resident }>();
  for (const resident of residents) {
    insert(rings, { id: memberId(resident.id), ...seatOf(memberId(resident.id)), resident });
  }
  return observersOf(rings, { id, ...seatOf(id) }, () => true).map(({ resident }) => resident);
}
