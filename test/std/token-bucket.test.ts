import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { instant } from '../../src/std/time.ts';
import { fullBucket, spend, take } from '../../src/std/token-bucket.ts';

test('a bucket of tokens refuses what it does not hold, and refills up to its brim', () => {
  const bucket = fullBucket({ burst: 3, perSecond: 2 }, instant(0));
  deepEqual(
    [1, 2, 3, 4].map(() => take(bucket, 1, instant(0))),
    [true, true, true, false],
  );
  deepEqual([take(bucket, 1, instant(499)), take(bucket, 1, instant(500))], [false, true]);
  deepEqual(
    [1, 2, 3, 4].map(() => take(bucket, 1, instant(60_000))),
    [true, true, true, false],
  );
});

test('a spender is told how long its debt takes', () => {
  const bucket = fullBucket({ burst: 100, perSecond: 1000 }, instant(0));
  deepEqual([spend(bucket, 100, instant(0)), spend(bucket, 500, instant(0))], [0, 500]);
  deepEqual([spend(bucket, 0, instant(400)), spend(bucket, 0, instant(500))], [100, 0]);
});
