/**
 * How much one peer may make us work: a token bucket. A peer that was admitted may still be broken or taken over, and
 * everything that it sends costs us time before we can know what it is worth.
 */
import { putNewest } from '../std/bounded.ts';
export type Allowance = {
  /** false: the peer has used it up. What was asked for is not taken then. */
  spend(tokens: number): boolean;
};

export function allowanceOf(limits: { readonly perSecond: number; readonly burst: number }): Allowance {
  let tokens = limits.burst;
  let at = performance.now();
  return {
    spend: (wanted) => {
      const now = performance.now();
      tokens = Math.min(limits.burst, tokens + ((now - at) * limits.perSecond) / 1_000);
      at = now;
      if (tokens < wanted) return false;
      tokens -= wanted;
      return true;
    },
  };
}

/** A message costs one token, and one more for each of these bytes, which cost about as much again. */
const bytesPerToken = 4_096;

export const tokensFor = (bytes: number): number => 1 + Math.floor(bytes / bytesPerToken);

/** Two for each of a thousand members. Whose was not asked for the longest is forgotten first: it is full again. */
const peersMax = 2_048;

/** One allowance for each peer. */
export function allowances(limits: Parameters<typeof allowanceOf>[0]): { of(peerId: string): Allowance } {
  const kept = new Map<string, Allowance>();
  return {
    of: (peerId) => {
      const allowance = kept.get(peerId) ?? allowanceOf(limits);
      putNewest(kept, { key: peerId, value: allowance, max: peersMax });
      return allowance;
    },
  };
}
