/**
 * Slow start: a member that has just become ready for a model has no load, no cache, and perhaps half of its kernels
 * still to compile. If everybody sent it what the emptiest member gets, it would be the fullest a moment later, because
 * no entry node sees what the others send. So its weight grows from a tenth to one over half a minute.
 *
 * Whom we find when we begin to look ourselves is nobody's newcomer.
 */
import { putNewest } from '../std/bounded.ts';
import type { MemberId } from '../std/member-id.ts';
import type { Instant } from '../std/time.ts';

const rampMs = 30_000;
const weightMin = 0.1;
/** Away for less than this, a member was suspected for a moment; its engine and its cache never went. */
const absenceMsMax = 10_000;
/** Of each model that is looked at: a cell of members. */
const modelsMax = 256;

/** Who comes into view this soon after our first look may have been there long before. */
const settleMs = 10_000;

/** `look`: the last at which it was there. `goneAt`: when it was first missed; null: it was not. */
type Seen = { since: number; look: number; goneAt: Instant | null };
type View = { readonly openedAt: Instant; look: number; readonly members: Map<MemberId, Seen> };
export type Newcomers = Map<string, View>;

export const noNewcomers = (): Newcomers => new Map();

/** Looks at who is ready, and returns those that are new enough to be spared, with their weight below 1. */
export function weights(
  newcomers: Newcomers,
  { model, ready }: { readonly model: string; readonly ready: readonly { readonly member: MemberId }[] },
  now: Instant,
): ReadonlyMap<MemberId, number> {
  const view = newcomers.get(model) ?? { openedAt: now, look: 0, members: new Map<MemberId, Seen>() };
  view.look += 1;
  const arrival = now - view.openedAt < settleMs ? -Infinity : now;
  const light = new Map<MemberId, number>();
  for (const { member } of ready) {
    const known = view.members.get(member) ?? { since: arrival, look: 0, goneAt: null };
    if (known.look === 0) view.members.set(member, known);
    if (known.goneAt !== null && now - known.goneAt > absenceMsMax) known.since = arrival;
    known.goneAt = null;
    known.look = view.look;
    const grown = (now - known.since) / rampMs;
    if (grown < 1) light.set(member, weightMin + (1 - weightMin) * grown);
  }
  if (view.members.size > ready.length) miss(view, now);
  putNewest(newcomers, { key: model, value: view, max: modelsMax });
  return light;
}

function miss({ look, members }: View, now: Instant): void {
  for (const [member, seen] of members) {
    if (seen.look === look) continue;
    seen.goneAt ??= now;
    if (now - seen.goneAt > absenceMsMax) members.delete(member);
  }
}
