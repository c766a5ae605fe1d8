/** Gathers what the three machines know of one member into one answer for a person. */
import type { State as Discovery } from '../discovery/discovery.ts';
import { explain } from '../membership/explanation.ts';
import type { State as Membership } from '../membership/state.ts';
import { recordOf } from '../registry/records.ts';
import type { State as Registry } from '../registry/state.ts';
import type { MemberId } from '../std/member-id.ts';
import type { Instant } from '../std/time.ts';
import type { MemberExplanation } from './explanation.ts';

type Views = {
  readonly membership: Membership;
  readonly registry: Registry;
  /** null: not joined yet. */
  readonly discovery: Discovery | null;
};

/** null: no such member is known. */
export function explained(id: MemberId, views: Views, now: Instant): MemberExplanation | null {
  const { membership, registry, discovery } = views;
  const seen = explain(membership, id, now);
  if (seen === null) return null;
  const record = recordOf(registry, id);
  const bound = discovery?.bindings.members.get(id);
  return { seen, record, bound } as unknown as MemberExplanation;
}
