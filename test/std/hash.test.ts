import assert from 'node:assert/strict';
import { test } from 'node:test';

import { fnv1a, scramble } from '../../src/std/hash.ts';

test('a text has the FNV-1a that is published for it', () => {
  const published = { '': 0x811c9dc5, a: 0xe40c292c, foobar: 0xbf9cf968 };
  for (const [text, hash] of Object.entries(published)) assert.equal(fnv1a(text) >>> 0, hash, text);
});

test('a text that is hashed in two parts has the hash of the whole', () => {
  assert.equal(fnv1a('bar', fnv1a('foo')), fnv1a('foobar'));
});

test('a number is scrambled as MurmurHash3 finishes with it', () => {
  assert.deepEqual([0, 1, 0xffffffff, -1].map(scramble), [0, 0x514e28b7, 0x81f16f39, 0x81f16f39]);
});
