import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { Entries } from '../../src/client/entries.ts';

test('a node that failed is asked last for a while, twice as long each time it fails after that, until it answers', () => {
  let now = 0;
  const urls = ['http://a/v1', 'http://b/v1'];
  const entries = new Entries(urls, () => now);
  const [bad] = urls;
  /** How long after its failure each request still goes to the other one first, in seconds. */
  const restOf = (): number => {
    entries.failed(bad!);
    entries.failed(bad!);
    const failedAt = now;
    while ([entries.inTurn(), entries.inTurn()].every(([first]) => first !== bad)) now += 1_000;
    return Math.floor((now - failedAt - 1) / 1_000);
  };
  deepEqual([1, 2, 3, 4, 5, 6].map(restOf), [5, 10, 20, 40, 60, 60]);
  entries.answered(bad!);
  deepEqual(restOf(), 5);
});
