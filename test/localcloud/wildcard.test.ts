import { equal } from 'node:assert/strict';
import { test } from 'node:test';
import { fits } from '../../src/localcloud/wildcard.ts';

test('stars stand for anything, question marks for one character, case counts', () => {
  const fitting = [
    ['worker', 'worker'],
    ['w*r', 'worker'],
    ['*', ''],
    ['us-east-1?', 'us-east-1a'],
    ['*synkti*', 'my-synkti-prod'],
    ['a\\*b', 'a*b'],
    ['a\\\\b', 'a\\b'],
  ] as const;
  for (const [pattern, text] of fitting) equal(fits(pattern, text), true, `${pattern} ${text}`);
  const others = [
    ['worker', 'workers'],
    ['Worker', 'worker'],
    ['us-east-1?', 'us-east-1'],
    ['a\\*b', 'axb'],
    ['', 'x'],
  ] as const;
  for (const [pattern, text] of others) equal(fits(pattern, text), false, `${pattern} ${text}`);
});

test('a hostile pattern costs no more than its length times the length of the text', () => {
  equal(fits('*a'.repeat(200) + 'b', 'a'.repeat(2_000)), false);
});
