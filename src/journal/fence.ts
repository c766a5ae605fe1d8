import type { MemberId } from '../std/member-id.ts';

/** Which of several entry nodes may write a log: the one that took it over last. Of two at once the name decides. */
export type Fence = { readonly epoch: number; readonly by: MemberId };

export const isBelow = (a: Fence, b: Fence): boolean =>
  a.epoch < b.epoch || (a.epoch === b.epoch && a.by < b.by);

/**
 * Whether a log gives way to who opens it under another fence. One that is complete stays against whoever only began the
 * same at about that time: its answer may be out.
 */
export function yieldsTo(log: { readonly fence: Fence; readonly ended: boolean }, next: Fence): boolean {
  const { fence, ended } = log;
  if (ended && fence.epoch === next.epoch) return fence.by === next.by;
  return !isBelow(next, fence);
}
