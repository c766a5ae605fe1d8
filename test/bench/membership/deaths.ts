/** Who was held dead, against what was really done to whom. */
import type { Said } from '../../lab/witness.ts';

/** Epoch ms: the first instant, and the first one after it. */
export type Window = { readonly from: number; readonly until: number };

/** One daemon was killed, cut off or drained. What follows from that is over when the next one is. */
export type Loss = { readonly index: number; readonly id: string; readonly from: number };

export const deathsTold = (said: readonly Said[], { from, until }: Window): readonly Said[] =>
  said.filter(({ fact, at }) => fact === 'member.died' && at >= from && at < until);

/** Those that no loss explains: neither who tells of it nor whom it tells of was lost last. `losses`: in their order. */
export const ofBystanders = (deaths: readonly Said[], losses: readonly Loss[]): readonly Said[] =>
  deaths.filter(({ at, by, member }) => {
    const loss = losses.findLast(({ from }) => from <= at);
    return loss === undefined || (by !== loss.index && member !== loss.id);
  });
