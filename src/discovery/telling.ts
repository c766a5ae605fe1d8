/** What a node tells the others of what it found in EC2. */
import type { MemberId } from '../std/member-id.ts';
import { meshMax } from '../std/mesh.ts';
import type { Instant } from '../std/time.ts';
import { isTold, type Bindings, type Member } from './bindings.ts';
import type { Effect, Entry } from './events.ts';
import type { Plan } from './plan.ts';

export type Gone = Map<MemberId, { readonly entry: Entry; readonly at: Instant }>;

type Known = { readonly bindings: Bindings; readonly gone: Gone; readonly plan: Plan };

/** Of a message: 64 entries are about 12 kB. */
export const entriesMax = 64;
/** Who is gone is told for as many epochs, and who came may be asked about for as many. */
export const toldEpochs = 3;

/** [Y3] Who looked on duty tells even that there is nothing new: the others then need not look. */
export function tell(entries: readonly Entry[], duty: boolean, effects: Effect[]): void {
  const once = [...new Map(entries.map((entry) => [entry.id, entry])).values()];
  if (once.length === 0 && duty) effects.push({ type: 'vouch', entries: [], to: null });
  vouch(once, null, effects);
}

export function vouch(entries: readonly Entry[], to: string | null, effects: Effect[]): void {
  for (let from = 0; from < entries.length; from += entriesMax)
    effects.push({ type: 'vouch', entries: entries.slice(from, from + entriesMax), to });
}

/**
 * What a look on duty tells again. That somebody is gone counts when it was said in three epochs. Who came is told again
 * only where not all are connected with all: there gossip may have lost it, and those whom one could ask have not heard
 * of it either; elsewhere who missed it meets the newcomer itself, and asks.
 */
export function recent({ bindings, gone, plan }: Known, seen: ReadonlySet<MemberId>, now: Instant): Entry[] {
  const since = now - toldEpochs * plan.discoveryMs;
  const told: Entry[] = [];
  for (const { at, entry } of gone.values()) if (at >= since && !seen.has(entry.id)) told.push(entry);
  if (bindings.members.size <= meshMax) return told;
  for (const member of bindings.members.values())
    if (member.shownFrom >= since && isShown(member, plan) && isTold(member.seen)) told.push(member.seen);
  return told;
}

/** With this key, by the look that has just been answered. */
const isShown = ({ ownLookAt }: Member, { begunAt }: Plan): boolean => ownLookAt === begunAt;
