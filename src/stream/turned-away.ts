/**
 * Members that answered by a status which another one need not give: busy, on the way out, or an engine whose core is
 * dead while its server goes on for some seconds. Nothing was begun there, so it is no verdict on an answer that has
 * begun: the others are asked, and the same member again, each time later, for as long as a member is looked for.
 */
import type { MemberId } from '../std/member-id.ts';
import { after, type Instant } from '../std/time.ts';

/** How long such a member is left alone: at first, and twice as long each time, ms. */
const restMs = { first: 250, max: 2_000 };
const passingStatuses: ReadonlySet<number> = new Set([429, 500, 502, 503, 504]);

/** Since the last new token of the answer. */
export type Rests = ReadonlyMap<MemberId, { readonly ms: number; readonly until: Instant }>;

/** Whether another engine, or this one later, may answer otherwise. */
export const isPassing = (status: number): boolean => passingStatuses.has(status);

export function letRest(rests: Rests, member: MemberId, now: Instant): Rests {
  const last = rests.get(member);
  const ms = last === undefined ? restMs.first : Math.min(2 * last.ms, restMs.max);
  return new Map(rests).set(member, { ms, until: after(now, ms) });
}

export const resting = (rests: Rests, now: Instant): readonly MemberId[] =>
  [...rests].flatMap(([member, { until }]) => (now < until ? [member] : []));
