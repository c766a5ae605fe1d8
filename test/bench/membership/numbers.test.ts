import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { spread } from './numbers.ts';

const upTo = (count: number): readonly number[] => Array.from({ length: count }, (_, i) => count - i);

test('a percentile is the nearest measured value that at least so many lie at or below', () => {
  deepEqual(spread(upTo(1_000)), { p50: 500, p99: 990, max: 1_000 });
  deepEqual(spread(upTo(101)), { p50: 51, p99: 100, max: 101 });
  deepEqual(spread([3, 1, 2, 4]), { p50: 2, p99: 4, max: 4 });
});

test('of fewer than a hundred values the 99th percentile is the greatest: none is left out', () => {
  for (const count of [1, 2, 20, 99]) deepEqual(spread(upTo(count)).p99, count);
  deepEqual(spread(upTo(100)).p99, 99);
});

test('of no values there is no percentile, and none that is zero', () => {
  deepEqual(spread([]), { p50: NaN, p99: NaN, max: NaN });
});
