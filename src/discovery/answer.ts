/**
 * Whether an answer that came in full is one to count absences by. EC2 promises only eventual consistency, and a zone in
 * trouble makes it say less than there is; the members that we know tell when it does.
 */
import type { MemberId } from '../std/member-id.ts';
import type { Bindings, Member } from './bindings.ts';

export type Absentees = {
  readonly absent: readonly Member[];
  /** Why nobody is to be given up on its account; null: it is a good answer. */
  readonly why: string | null;
};

/** More members than this, and more than this share of all, do not end at the same time without a goodbye. */
const absentMax = 2;
const absentShare = 0.1;

/** `seen` is all that the answer lists and that has not said goodbye. */
export function omission(
  { members }: Bindings,
  { seen, self }: { readonly seen: ReadonlySet<MemberId>; readonly self: MemberId },
): Absentees {
  const absent = [...members.values()].filter((member) => !seen.has(member.seen.id));
  if (absent.length > 0 && !seen.has(self)) return { absent: [], why: 'an answer without this node itself' };
  const unexpected = absent.filter(({ left }) => !left);
  if (unexpected.length > Math.max(absentMax, members.size * absentShare))
    return { absent, why: `an answer that lacks ${unexpected.length} of ${members.size} members` };
  const zone = lostZone(members.values(), seen, unexpected);
  return { absent, why: zone === null ? null : `an answer without zone ${zone}` };
}

/** A zone of two or more members of which the answer lists none. */
function lostZone(
  members: Iterable<Member>,
  seen: ReadonlySet<MemberId>,
  unexpected: readonly Member[],
): string | null {
  if (unexpected.length < 2) return null;
  const listed = new Set<string>();
  for (const { seen: one } of members) if (seen.has(one.id)) listed.add(one.zone);
  const counts = new Map<string, number>();
  for (const { seen: one } of unexpected) counts.set(one.zone, (counts.get(one.zone) ?? 0) + 1);
  for (const [zone, count] of counts) if (count >= 2 && !listed.has(zone)) return zone;
  return null;
}
