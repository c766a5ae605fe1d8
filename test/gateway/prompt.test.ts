import { equal } from 'node:assert/strict';
import { test } from 'node:test';
import { charactersOf } from '../../src/gateway/prompt.ts';

const large = 'x'.repeat(100_000);
const png = `data:image/png;base64,${large}`;
const saying = (content: unknown): object => ({ messages: [{ role: 'user', content }] });

test('[A4] the words of a prompt are counted, and neither its pictures nor its recordings', () => {
  const words = charactersOf(saying([{ type: 'text', text: 'what is this?' }]));
  for (const part of [
    { type: 'image_url', image_url: { url: png } },
    { type: 'input_image', image_url: png },
    { type: 'input_file', file_data: png },
    { type: 'input_audio', input_audio: { data: large, format: 'wav' } },
    { type: 'image', source: { type: 'base64', media_type: 'image/png', data: large } },
  ]) {
    const more = charactersOf(saying([{ type: 'text', text: 'what is this?' }, part])) - words;
    equal(more > 0 && more < 100, true, `${part.type}: ${more}`);
  }
  // Words that look like a link are words.
  for (const content of [png, [{ type: 'text', text: png }]])
    equal(charactersOf(saying(content)) > 100_000, true);
});

test('[A4] an id of a prompt counts as a token, however it is written', () => {
  const ids = Array.from({ length: 1_000 }, (_, i) => i * 100);
  equal(charactersOf({ prompt: ids }) - charactersOf({ prompt: [] }), 4_000);
  equal(charactersOf({ prompt: [ids, ids] }) - charactersOf({ prompt: [] }), 8_000);
});
