/** Who really observes a member: by the machine's own rings, over everybody that lives and has joined. */
import { insert, emptyRings, observersOf, seatOf, type Seat } from '../../src/membership/rings.ts';
import { memberId, type MemberId } from '../../src/std/member-id.ts';
import type { Resident } from './resident.ts';
import type { World } from './world.ts';

/** False deaths are rare enough to build the rings anew. */
export function observersInTruth(id: MemberId, world: World): Resident[] {
  const rings = emptyRings<Seat & { readonly resident: Resident }>();
  for (const resident of world.living()) {
    if (!resident.joined || resident.leaving) continue;
    insert(rings, { id: memberId(resident.id), ...seatOf(memberId(resident.id)), resident });
  }
  return observersOf(rings, { id, ...seatOf(id) }, () => true).map(({ resident }) => resident);
}
