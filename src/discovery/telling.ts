/** What a node tells the others of what it found in EC2. */
import type { MemberId } from '../std/member-id.ts';
import type { Instant } from '../std/time.ts';
import { isTold, type Bindings } from './bindings.ts';
import type { Effect, Entry } from './events.ts';
import type { Plan } from './plan.ts';

export type Gone = Map<MemberId, { readonly entry: Entry; readonly at: Instant }>;

type Known = { readonly bindings: Bindings; readonly gone: Gone; readonly plan: Plan };

/** Of a message: 64 entries are about 12 kB. */
export const entriesMax = 64;
/** What is new or gone is told for as many epochs, in case that gossip lost it. */
const toldEpochs = 3;

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

/** What a look on duty tells again. */
export function recent({ bindings, gone, plan }: Known, seen: ReadonlySet<MemberId>, now: Instant): Entry[] {
  const since = now - toldEpochs * plan.discoveryMs;
  const told: Entry[] = [];
  for (const { at, entry } of gone.values()) if (at >= since && !seen.has(entry.id)) told.push(entry);
  for (const { boundAt, seen: one } of bindings.members.values())
    if (boundAt >= since && seen.has(one.id) && isTold(one)) told.push(one);
  return told;
}
