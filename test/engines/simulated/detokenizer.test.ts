/** Text as vLLM gives it out: what is held back, what is dropped, and what comes too much. */
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { Detokenizer, type TextRules } from '../../../src/engines/simulated/detokenizer.ts';
import { encode, eosId, idOfByte } from '../../../src/engines/simulated/vocabulary.ts';

const rules: TextRules = { skipSpecial: true, stop: [], includeStop: false, minTokens: 0 };
const bytes = (text: string): number[] => [...Buffer.from(text)].map(idOfByte);

/** What each token brings to light; the last call releases what was held back. */
function deliveries(
  prompt: readonly number[],
  ids: readonly number[],
  more: Partial<TextRules> = {},
): string[] {
  const detokenizer = new Detokenizer(prompt, { ...rules, ...more });
  return ids.map((id, i) => {
    const stop = detokenizer.push(id);
    return detokenizer.take({ finished: stop !== null || i === ids.length - 1 });
  });
}

test('a character comes whole with its last byte', () => {
  deepEqual(deliveries(bytes('hi '), bytes('世é🐈a')), ['', '', '世', '', 'é', '', '', '', '🐈', 'a']);
});

test('bytes of a character that is never completed are dropped at the end', () => {
  deepEqual(deliveries(bytes('hi '), bytes('a世').slice(0, 3)), ['a', '', '']);
});

test('bytes that are no character come with the next token', () => {
  deepEqual(deliveries(bytes('hi '), [...bytes('世').slice(0, 2), ...bytes('k')]), ['', '', '\uFFFDk']);
});

test('a prompt that ends inside a character is repeated whole by the first text', () => {
  deepEqual(deliveries(bytes('hello 世').slice(0, -2), bytes('世ab').slice(1)), ['', 'hello 世', 'a', 'b']);
  deepEqual(deliveries(bytes('hello 世').slice(0, -1), bytes('x')), ['hello \uFFFDx']);
});

test('special tokens show only where they are not skipped', () => {
  deepEqual(deliveries(bytes('hi'), [eosId, ...bytes('a')]), ['', 'a']);
  deepEqual(deliveries(bytes('hi'), [eosId, ...bytes('a')], { skipSpecial: false }), ['<|im_end|>', 'a']);
});

test('with a stop string the last characters are held back, and released at the end', () => {
  deepEqual(deliveries(bytes('x'), bytes('abcdef'), { stop: ['@@@'] }), ['', '', 'a', 'b', 'c', 'def']);
  deepEqual(deliveries(bytes('x'), encode('🐈🐈ax', 99), { stop: ['@@'] }), [
    '',
    '',
    '',
    '',
    '',
    '🐈',
    '🐈',
    'ax',
  ]);
});

test('a stop string ends the text before itself, or after itself where it is to be included', () => {
  deepEqual(deliveries(bytes('x'), bytes('aith'), { stop: ['ith'] }), ['', '', 'a', '']);
  deepEqual(deliveries(bytes('x'), bytes('aith'), { stop: ['ith'], includeStop: true }), [
    'a',
    'i',
    't',
    'h',
  ]);
  deepEqual(deliveries(bytes('x'), bytes('ait'), { stop: ['ith'] }), ['', '', 'ait']);
});

test('a stop string does not count before min_tokens, and only within the output', () => {
  const detokenizer = new Detokenizer(bytes('i'), { ...rules, stop: ['it'], minTokens: 2 });
  deepEqual(
    bytes('itxit').map((id) => detokenizer.push(id)),
    [null, null, null, null, 'it'],
  );
  equal(detokenizer.text, 'itx');
});
