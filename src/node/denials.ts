/**
 * Tells of peers that are turned away, a hundred times a second by each address if they are hostile, and does not fill the
 * log: of each the first denial is told at once, and then once in ten seconds how many more there were. All are told, and
 * so counted, but for those of a node's last seconds. Keys cost a stranger nothing: of whoever comes while many are told of
 * by name, only the number is told.
 */
import { after, never, type Instant } from '../std/time.ts';
import { drive } from './drive.ts';
import type { Report } from './facts.ts';
import type { Clock } from './ports.ts';

/** How far the count may be behind. */
const gatherMs = 10_000;
/** With the one of all others, that is less than two lines a second. */
const namedMax = 16;

/** Denials since the last line, and when the next one is due. */
type Gathered = { readonly times: number; readonly dueAt: Instant };

/** null: of all that are not told by name. The earliest due first. */
type State = Map<string | null, Gathered>;
type Event = { readonly type: 'denied'; readonly peerId: string } | { readonly type: 'tick' };
type Effect = { readonly fact: 'peer.denied'; readonly peerId: string | null; readonly times: number };

export const init = (): State => new Map();

export function step(state: State, event: Event, now: Instant): readonly [State, readonly Effect[]] {
  const due = told(state, now);
  return [state, event.type === 'denied' ? [...due, ...denied(state, event.peerId, now)] : due];
}

export function deadline(state: State): Instant {
  for (const { dueAt } of state.values()) return dueAt;
  return never;
}

export const openDenials = (clock: Clock, report: Report) =>
  drive<State, Event, Effect>({ step, deadline, wake: { type: 'tick' } }, init(), clock, report);

function denied(state: State, peerId: string, now: Instant): readonly Effect[] {
  const who = state.has(peerId) || state.size < namedMax ? peerId : null;
  const gathered = state.get(who);
  state.set(who, { times: (gathered?.times ?? -1) + 1, dueAt: gathered?.dueAt ?? after(now, gatherMs) });
  return gathered === undefined ? [{ fact: 'peer.denied', peerId: who, times: 1 }] : [];
}

/** Who was not denied again is forgotten. */
function told(state: State, now: Instant): readonly Effect[] {
  const effects: Effect[] = [];
  for (const [peerId, { times, dueAt }] of [...state]) {
    if (now < dueAt) break;
    state.delete(peerId);
    if (times === 0) continue;
    effects.push({ fact: 'peer.denied', peerId, times });
    state.set(peerId, { times: 0, dueAt: after(now, gatherMs) });
  }
  return effects;
}
