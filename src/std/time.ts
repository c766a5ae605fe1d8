/** Milliseconds since the process started, from a monotonic source. Comparable only within one process. */
export type Instant = number & { readonly unit: 'monotonic-ms' };

/** Milliseconds since the Unix epoch. For what other machines say and read; never for measuring a wait. */
export type WallTime = number & { readonly unit: 'epoch-ms' };

export const instant = (ms: number): Instant => ms as Instant;
export const wallTime = (ms: number): WallTime => ms as WallTime;
export const never: Instant = instant(Infinity);
export const after = (at: Instant, ms: number): Instant => instant(at + ms);
export const earliest = (...instants: readonly Instant[]): Instant => instant(Math.min(...instants));
