import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { dropOldest, putNewest } from '../../src/std/bounded.ts';

test('what was put longest ago goes first, and putting it again makes it the newest', () => {
  const kept = new Map<string, number>();
  for (const [value, key] of ['a', 'b', 'a', 'c'].entries()) putNewest(kept, { key, value, max: 2 });
  deepEqual([...kept], Object.entries({ a: 2, c: 3 }));
  putNewest(kept, { key: 'c', value: 4, max: 2 });
  deepEqual([...kept], Object.entries({ a: 2, c: 4 }));
});

test('as many go as are too many, and none where there is room', () => {
  const kept = new Set(['a', 'b', 'c', 'd']);
  dropOldest(kept, 4);
  deepEqual([...kept], ['a', 'b', 'c', 'd']);
  dropOldest(kept, 2);
  deepEqual([...kept], ['c', 'd']);
  dropOldest(kept, 0);
  deepEqual([...kept], []);
});
