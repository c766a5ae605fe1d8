/**
 * How long a member is looked for that takes the generation. Time in which this node stood still is none of it: nobody
 * was looked for then, and who was not reached may only have been heard too late.
 */
import { after, type Instant } from '../std/time.ts';
import { ownStallMs } from './rhythm.ts';
import type { State } from './state.ts';

/** An engine restarts in less, ms. */
const seekMs = 20_000;
/** How often to ask, ms. */
export const seekAgainMs = 250;

/** `due`: when the machine was to be woken at the latest. */
export function passOverStall(state: State, due: Instant, now: Instant): void {
  state.soughtSince = after(state.soughtSince, ownStallMs(due, now));
}

export const isSoughtTooLong = ({ soughtSince }: State, now: Instant): boolean => now - soughtSince >= seekMs;
