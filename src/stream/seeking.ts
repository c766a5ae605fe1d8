/**
 * How long a member is looked for that takes what is asked. Time in which this node stood still is none of it: nobody
 * was looked for then, and who was not reached may only have been heard too late.
 */
import { after, type Instant } from '../std/time.ts';
import { ownStallMs } from './rhythm.ts';

/** An engine restarts in less, ms. */
const seekMs = 20_000;
/** How often to ask, ms. */
export const seekAgainMs = 250;

/** Since when it was looked for if none of that is counted. `due`: when a timer of ours had to come at the latest. */
export const lessOwnStall = (since: Instant, due: Instant, now: Instant): Instant =>
  after(since, ownStallMs(due, now));

export const isSoughtTooLong = (since: Instant, now: Instant): boolean => now - since >= seekMs;
