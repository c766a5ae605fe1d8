import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { synkti } from './io.ts';

test('help of something is its --help, and help of help is the list', async () => {
  for (const [words, same] of [
    [
      ['help', 'members'],
      ['members', '--help'],
    ],
    [
      ['help', 'key', 'new'],
      ['key', 'new', '--help'],
    ],
    [['help'], ['--help']],
    [['help', 'help'], ['--help']],
    [['help', '--help'], ['--help']],
    [['help', '-h'], ['--help']],
  ] as const) {
    const { code, out, err } = await synkti(words);
    deepEqual([code, out, err], [0, (await synkti(same)).out, ''], words.join(' '));
  }
});
