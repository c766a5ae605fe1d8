import type { MemberId } from '../std/member-id.ts';

/** Which of several entry nodes may write a log: the one that took it over last. Of two at once the name decides. */
export type Fence = { readonly epoch: number; readonly by: MemberId };

export const isBelow = (a: Fence, b: Fence): boolean =>
  a.epoch < b.epoch || (a.epoch === b.epoch && a.by < b.by);
