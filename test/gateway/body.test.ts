import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { namedInJson } from '../../src/gateway/body.ts';

const told = (body: object) => namedInJson(JSON.stringify({ model: 'tiny', ...body }));

test('[A6] what stands in a text is no part, however many braces, brackets and quotes it has', () => {
  const content = String.raw`{"a":[1,"\\"]},`.repeat(60_000);
  const named = told({ messages: [{ role: 'user', content }], last: '\\' });
  ok('body' in named);
  deepEqual(named.body['messages'], [{ role: 'user', content }]);
});

test('[A6] a prompt of a million numbers, or of a hundred thousand texts, is a usual body', () => {
  for (const prompt of [Array<number>(1e6).fill(7), Array<string>(1e5).fill('text')])
    ok('body' in told({ prompt }));
});

test('[A6] what a body takes when it is read is told besides its text', () => {
  const heapOf = (body: object): number => {
    const named = told(body);
    return 'body' in named ? named.heapBytes : NaN;
  };
  const empty = heapOf({});
  ok(empty > 0 && empty < 1_000);
  equal(heapOf({ x: Array.from({ length: 50_000 }, () => ({})) }) - heapOf({ x: [] }), 50_000 * 64);
  equal(heapOf({ x: 'x'.repeat(50_000) }), heapOf({ x: '' }));
});
