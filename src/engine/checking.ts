/**
 * When a serving engine is asked for its `/health`. That flag proves no life, but it does tell of a death: vLLM whose
 * core is gone answers every request by 500 for up to three seconds, while `/health` says 503 and the counters can
 * still be read. So it is asked after each sign of such an end, with one question for all that is seen while another
 * is under way, because what was asked before a sign says nothing of it.
 */
import { after, instant, never, type Instant } from '../std/time.ts';
import type { Config } from './stage.ts';

export type Checking = {
  readonly askedAt: Instant;
  readonly isUnderWay: boolean;
  /** A sign came since it was asked. */
  readonly isWanted: boolean;
};

export const unchecked: Checking = { askedAt: instant(-Infinity), isUnderWay: false, isWanted: false };

/** When it is to be asked, or is given up that an answer comes. */
export const checkAt = (
  { askedAt, isUnderWay, isWanted }: Checking,
  { checkMs, answerMs }: Config,
): Instant => (isUnderWay ? after(askedAt, answerMs) : isWanted ? after(askedAt, checkMs) : never);
