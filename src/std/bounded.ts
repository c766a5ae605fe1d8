/** A Map or a Set keeps the order in which things were put into it, so its first is the oldest: that is let go first. */
type Ordered<K> = { readonly size: number; keys(): Iterable<K>; delete(key: K): boolean };

export function dropOldest<K>(kept: Ordered<K>, max: number): void {
  for (const oldest of kept.keys()) {
    if (kept.size <= max) return;
    kept.delete(oldest);
  }
}

/** As the newest, also where something of this key was there before. */
export function putNewest<K, V>(
  kept: Map<K, V>,
  { key, value, max }: { readonly key: K; readonly value: V; readonly max: number },
): void {
  kept.delete(key);
  kept.set(key, value);
  dropOldest(kept, max);
}
