/** Many measured times as the few that are reported. */

export type Spread = { readonly p50: number; readonly p99: number; readonly max: number };

/** By nearest rank: each number is one that was measured. Of twenty values the 99th percentile is the greatest. */
export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const rank = (share: number): number => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? NaN;
  return { p50: rank(0.5), p99: rank(0.99), max: rank(1) };
}

export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

export const rounded = (value: number, digits = 0): number => Number(value.toFixed(digits));
