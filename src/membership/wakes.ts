/**
 * When the next tick is due. Beats come just after our own, and until they have, the silence that the last round left
 * ends before our next beat. So it is counted how many are still to come: with the last of them the tick is put off to
 * the beat, and a node at rest wakes up by itself once in a period.
 *
 *      beat     silence ends      beat     silence would end
 *   ────┼─ ││ │ ──────┼───────────┼─ ││ │ ──────┼──────────
 *       0   heard    100          540  heard    640            ms
 */
import { after, instant, type Instant } from '../std/time.ts';
import { dueAt, isHearing, silenceMs, type Watch } from './ladder.ts';
import type { State } from './state.ts';

/** From all that is known: after each tick. */
export function plan(state: State): void {
  let at: number = Math.min(state.beatAt, state.arrangeAt, state.pollAt, state.dialAt);
  state.awaited = 0;
  for (const watch of state.watches) {
    const due = dueAt(watch);
    if (due < state.beatAt && isHearing(watch)) state.awaited++;
    at = Math.min(at, due);
  }
  state.wakeAt = instant(at);
}

/** One that we watch spoke, as it did at `lastAt` before. What is counted wrongly costs a tick and no more. */
export function heardFrom(state: State, watch: Watch, lastAt: Instant): void {
  if (state.awaited === 0 || !isHearing(watch)) return;
  if (after(lastAt, silenceMs) < state.beatAt && --state.awaited === 0) plan(state);
}
