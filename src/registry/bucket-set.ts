/**
 * Some of the 64 buckets of a view, as the bits of two numbers. Each connected peer has two such sets, and a comparison
 * begins with all buckets: as a `Set` that is 64 insertions and more than a kilobyte.
 */
export type BucketSet = { low: number; high: number };

export const noBuckets = (): BucketSet => ({ low: 0, high: 0 });

export function addEvery(set: BucketSet): void {
  set.low = -1;
  set.high = -1;
}

export function add(set: BucketSet, bucket: number): void {
  if (bucket < 32) set.low |= 1 << bucket;
  else set.high |= 1 << bucket;
}

/** Whether it was there; it is there no more. */
export function remove(set: BucketSet, bucket: number): boolean {
  const bit = 1 << bucket;
  const was = ((bucket < 32 ? set.low : set.high) & bit) !== 0;
  if (bucket < 32) set.low &= ~bit;
  else set.high &= ~bit;
  return was;
}
