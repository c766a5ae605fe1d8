import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readItem, type Item } from '../../src/stream/chunk.ts';
import { ItemReader } from '../../src/stream/item-reader.ts';

const head = { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 17, model: 'tiny' };
const chat = (content: unknown, rest: object = {}): string => {
  const choice = {
    index: 0,
    delta: { content },
    logprobs: null,
    finish_reason: null,
    token_ids: [1],
    ...rest,
  };
  return JSON.stringify({ ...head, choices: [choice] });
};
const completion = (text: string, rest: object = {}): string => {
  const ending = { finish_reason: null, stop_reason: null, prompt_token_ids: null };
  const choice = { index: 0, text, logprobs: null, ...ending, token_ids: [1], ...rest };
  return JSON.stringify({ ...head, object: 'text_completion', choices: [choice] });
};

/** What an item says, the JSON that is made on demand included. */
const told = (item: Item): unknown =>
  item.type === 'chunk' ? { ...item, chunk: { ...item.chunk, json: item.chunk.json } } : item;

const same = (reader: ItemReader, data: string): void =>
  deepEqual(told(reader.read(data)), told(readItem(data)));

test('whatever comes after whatever else is read as JSON would read it', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('', ' a', '"', '\\', '"}', 'chatcmpl-1', 'tiny', '1', 'é', '\u{1f600}', '\n', '\u2028'),
  );
  const ids = fc.oneof(fc.array(fc.nat(200_000), { maxLength: 5 }), fc.constant(null));
  const rest = fc.record(
    { token_ids: ids, finish_reason: fc.constantFrom(null, 'stop'), prompt_token_ids: ids },
    { requiredKeys: [] },
  );
  const event = fc.oneof(
    fc.tuple(text, rest).map(([said, more]) => chat(said, more)),
    fc.tuple(text, rest).map(([said, more]) => completion(said, more)),
    fc.constantFrom('[DONE]', '{}', 'nonsense', '{"error":{"message":"x"}}', chat({ odd: 1 })),
  );
  fc.assert(
    fc.property(fc.array(event, { maxLength: 30 }), (events) => {
      const reader = new ItemReader();
      for (const data of events) same(reader, data);
    }),
  );
});

test('what only looks like the known shape is parsed, and refused where it is no JSON', () => {
  const reader = new ItemReader();
  for (let i = 0; i < 10; i++) same(reader, chat(' a'));
  for (const ids of ['', ',', '1,', '01', '1e3', '-1', '1.5', '1,,2', '"1"', '99999999999999999999'])
    same(reader, chat(' c').replace('[1]', `[${ids}]`));
  same(reader, chat(' d').slice(0, -1));
  equal(reader.read(`${chat(' e')}}`).type, 'nonsense');
});

test('a control character in a text is no JSON, whatever the shape is known to be', () => {
  for (const make of [chat, completion]) {
    const reader = new ItemReader();
    for (let i = 0; i < 10; i++) same(reader, make(' a'));
    for (const raw of ['\t', '\0', '\x1f', 'a\tb']) {
      same(reader, make(' b').replace(' b', raw));
      equal(reader.read(make(' b').replace(' b', raw)).type, 'nonsense');
    }
    for (const allowed of [' ', '\x7f', '\u2028']) same(reader, make(allowed));
  }
});

test('a text that stands elsewhere in the event too is not mistaken', () => {
  for (const text of ['content', 'tiny', '1', '0', 'index', 'x'])
    for (const make of [chat, completion]) {
      const reader = new ItemReader();
      for (const next of [...Array<string>(8).fill(text), 'another', text])
        same(reader, make(next, { echo: text, list: [1] }));
    }
});
