import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { partChunk } from '../../src/stream/answer.ts';

test('a chunk with a text and nothing else has the fields of one with more, in their order', () => {
  const rest = { foreign: null, ids: null, promptIds: null, finish: null, fingerprint: null };
  for (const endpoint of ['chat', 'completions'] as const)
    for (const text of [' a', '', '"\\\n\u2028 é \u{1f600} \ud800']) {
      const head = { id: 'x "1"', created: 17, model: 'm/é' };
      const plain = partChunk(endpoint, head, { ...rest, text, usage: null });
      const { usage, ...more } = JSON.parse(
        partChunk(endpoint, head, { ...rest, text, usage: { total_tokens: 1 } }),
      ) as Record<string, unknown>;
      deepEqual(usage, { total_tokens: 1 });
      equal(plain, JSON.stringify(more));
    }
});
