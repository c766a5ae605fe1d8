import { deepEqual, equal, notEqual, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { promptOf } from '../../src/node/prompt.ts';
import { blocksOf } from '../../src/routing/blocks.ts';

const text = (length: number, mark = 'x'): string => mark.repeat(length);

/** How many blocks two prompts have in common, from the first. */
function shared(a: readonly number[], b: readonly number[]): number {
  const differs = a.findIndex((block, i) => block !== b[i]);
  return differs === -1 ? a.length : differs;
}

test('[R7] prompts share hashes exactly as far as they share whole blocks', () => {
  const one = blocksOf('m', [text(3_000), text(3_000, 'a')]);
  const other = blocksOf('m', [text(3_000), text(3_000, 'b')]);
  equal(one.length, 5);
  equal(shared(one, other), 2);
  deepEqual(
    blocksOf('m', [text(1_023)]),
    [blocksOf('m', [text(1_023)])[0]].filter((block) => block !== undefined),
  );
  for (const block of one) ok(Number.isSafeInteger(block) && block >= 0);
});

test('[R7] the same text for another model, behind other text or cut at another place shares nothing', () => {
  const plain = blocksOf('m', [text(4_096)]);
  equal(shared(plain, blocksOf('n', [text(4_096)])), 0);
  equal(shared(plain, blocksOf('m', ['a', text(4_096)])), 0);
  notEqual(blocksOf('m', [text(600), text(600)])[0], blocksOf('m', [text(700), text(500)])[0]);
});

test('[R7] a prompt of megabytes has a bounded number of blocks', () => {
  equal(blocksOf('m', [text(4_000_000)]).length, 512);
});

test('[R7] the next turn of a chat begins with all blocks of the turn before', () => {
  const turn = (...said: readonly string[]) => ({
    model: 'm',
    messages: said.map((content, i) => ({ role: i % 2 === 0 ? 'user' : 'assistant', content })),
  });
  const first = promptOf(turn(text(5_000, 'q')));
  const second = promptOf(turn(text(5_000, 'q'), text(900, 'a'), 'and then?'));
  ok(first.length >= 4);
  equal(shared(first, second), first.length);
});

test('[R7] parts, ids, tools and salts count; what is not prompt does not', () => {
  const body = { model: 'm', messages: [{ role: 'user', content: text(2_100) }] };
  const blocks = promptOf(body);
  deepEqual(promptOf({ ...body, temperature: 1, stream: true, max_tokens: 7 }), blocks);
  notEqual(promptOf({ ...body, cache_salt: 's' })[0], blocks[0]);
  notEqual(promptOf({ ...body, tools: [{ type: 'function' }] })[0], blocks[0]);
  const parts = [{ type: 'text', text: text(2_100) }];
  deepEqual(promptOf({ model: 'm', messages: [{ role: 'user', content: parts }] }), blocks);
  const ids = Array.from({ length: 600 }, (_, i) => i);
  equal(promptOf({ model: 'm', prompt: ids }).length, 2);
});

test('[R7] what a tool answered tells prompts apart, in whichever form an API has it', () => {
  const anthropic = (found: string) => {
    const search = { type: 'search_result', title: 't', content: [{ type: 'text', text: found }] };
    const asText = { type: 'tool_result', tool_use_id: 't', content: [{ type: 'text', text: found }] };
    const asFound = { type: 'tool_result', tool_use_id: 't', content: [search] };
    return [asText, asFound].map((result) => ({
      model: 'm',
      messages: [{ role: 'user', content: [result] }],
    }));
  };
  const openAi = (found: string) => ({
    model: 'm',
    messages: [{ role: 'tool', tool_call_id: 't', content: [{ type: 'text', text: found }] }],
  });
  const responses = (found: string) => ({
    model: 'm',
    input: [{ type: 'function_call_output', call_id: 't', output: found }],
  });
  const bodies = (found: string) => [...anthropic(found), openAi(found), responses(found)];
  const [one, other] = [bodies(text(4_000)), bodies(`${text(2_500)}${text(1_500, 'y')}`)];
  for (const [i, body] of one.entries()) {
    const [blocks, others] = [promptOf(body), promptOf(other[i]!)];
    equal(blocks.length, 3);
    equal(shared(blocks, others), 2);
  }
});

test('[R7] a body that makes no sense has a prompt all the same', () => {
  const cyclic = [[[[[[['deep']]]]]]];
  for (const messages of [null, 7, cyclic, [null, 3, { content: { a: [] } }], {}])
    ok(promptOf({ model: 'm', messages }).length >= 0);
});

test('of a picture, or of ids, no more is looked at than counts, and what counts is as if all of it were', () => {
  const picture = { type: 'image_url', image_url: { url: `data:image/png;base64,${text(40_000_000, 'p')}` } };
  const ids = Array.from({ length: 800_000 }, (_, i) => i % 9);
  const chat = { model: 'm', messages: [{ role: 'user', content: [picture] }] };
  deepEqual(promptOf(chat), blocksOf('m\n', ['user', JSON.stringify(picture)]));
  deepEqual(promptOf({ model: 'm', prompt: ids }), blocksOf('m\n', [ids.join(' ')]));
  const msOf = (act: () => unknown): number =>
    Math.min(
      ...Array.from({ length: 5 }, () => {
        const begunAt = performance.now();
        act();
        return performance.now() - begunAt;
      }),
    );
  ok(msOf(() => promptOf(chat)) < msOf(() => JSON.stringify(picture)) / 3);
});
