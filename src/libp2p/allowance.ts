/**
 * How much one peer may make us work: a token bucket. A peer that was admitted may still be broken or taken over, and
 * everything that it sends costs us time before we can know what it is worth.
 */
import { putNewest } from '../std/bounded.ts';
import { instant, type Instant } from '../std/time.ts';
import { fullBucket, take, type Rate } from '../std/token-bucket.ts';

export type Allowance = {
  /** false: the peer has used it up. What was asked for is not taken then. */
  spend(tokens: number): boolean;
};

/** Draws from the allowance of whoever is at the other end of a connection; throws when that is used up. */
export type Charge = (tokens: number) => void;

export function allowanceOf(limits: Rate): Allowance {
  const bucket = fullBucket(limits, now());
  return { spend: (tokens) => take(bucket, tokens, now()) };
}

const now = (): Instant => instant(performance.now());

/** A message costs one token, and one more for each of these bytes, which cost about as much again. */
const bytesPerToken = 4_096;

export const tokensFor = (bytes: number): number => 1 + Math.floor(bytes / bytesPerToken);

/** Two for each of a thousand members. Whose was not asked for the longest is forgotten first: it is full again. */
const peersMax = 2_048;

/** One allowance for each peer. */
export function allowances(limits: Rate): { of(peerId: string): Allowance } {
  const kept = new Map<string, Allowance>();
  return {
    of: (peerId) => {
      const allowance = kept.get(peerId) ?? allowanceOf(limits);
      putNewest(kept, { key: peerId, value: allowance, max: peersMax });
      return allowance;
    },
  };
}
