import assert from 'node:assert/strict';
import { test } from 'node:test';

import { parseJson, parseObject, withFields } from '../../src/std/json.ts';

test('what is not JSON is undefined, and a null that was sent is not taken for it', () => {
  for (const text of ['', '{', 'nul', '{"a":1}x', '\uFEFF{}']) assert.equal(parseJson(text), undefined, text);
  assert.equal(parseJson('null'), null);
  assert.deepEqual(parseJson('[1]'), [1]);
});

test('only an object is one', () => {
  for (const text of ['[]', 'null', '"{}"', '7', '{']) assert.equal(parseObject(text), null, text);
  assert.deepEqual(parseObject('{"a":[1]}'), { a: [1] });
});

test('depth that a sender chose does no harm', () => {
  assert.equal(parseObject('['.repeat(1_000_000)), null);
  assert.notEqual(parseObject(`{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`), null);
});

test('fields are put into a text besides or instead of its own, and the rest of it stays as it is', () => {
  const text = '{ "a": 1.0, "b": {"c": "}"}, "n": 9223372036854775807 } \n';
  const told = withFields(text, { n: 1, d: null });
  assert.deepEqual(parseObject(told), { a: 1, b: { c: '}' }, n: 1, d: null });
  assert.ok(told.startsWith('{ "a": 1.0, "b": {"c": "}"}, "n": 9223372036854775807 '));
});
