import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import type { Json } from '../../src/std/json.ts';
import { readAnswer } from '../../src/stream/apart.ts';
import { firstLeg, firstLegOf } from '../../src/stream/continuation.ts';
import { readRequest, type Engines } from '../../src/stream/request.ts';
import { noAbility } from '../../src/std/ability.ts';
import { ask } from './conversation.ts';

const messages = [{ role: 'user', content: 'hi' }];
const chat = { model: 'tiny', messages };
const completion = { model: 'tiny', prompt: 'hi' };

const keyed: Partial<Engines> = { ability: { ...noAbility, keyedByPosition: true } };

const plainChats: readonly Record<string, unknown>[] = [
  {},
  { stream: true, stream_options: { include_usage: true } },
  { n: 1, temperature: 0.7, top_p: 0.9, seed: 3, stop: ['a', 'b'], logit_bias: { 5: 1 } },
  { tools: [{ type: 'function', function: { name: 'f' } }], tool_choice: 'none' },
  { tools: [], response_format: { type: 'text' }, logprobs: false, presence_penalty: 0, echo: false },
  { frequency_penalty: 0.5, repetition_penalty: 1 },
  { repetition_penalty: 1.1 },
  { messages: [{ role: 'user', content: [{ type: 'text', text: 'hi' }] }] },
  { unheard_of: { a: 1 } },
];

const plainCompletions: readonly Record<string, unknown>[] = [
  {},
  { prompt: [1, 2, 3] },
  { prompt: ['hi'] },
  { prompt: [[1, 2]] },
  { suffix: '' },
];

/** Each with the obstacle that it must meet. */
const others: readonly (readonly [string, Record<string, unknown>])[] = [
  ['choices', { n: 2 }],
  ['choices', { best_of: 3 }],
  ['prompts', { ...completion, prompt: ['a', 'b'] }],
  ['prompts', { ...completion, prompt: [] }],
  ['tools', { tools: [{ type: 'function' }] }],
  ['tools', { tools: [{ type: 'function' }], tool_choice: 'required' }],
  ['grammar', { response_format: { type: 'json_object' } }],
  ['grammar', { structured_outputs: { regex: 'a*' } }],
  ['grammar', { guided_choice: ['a', 'b'] }],
  ['logprobs', { logprobs: true }],
  ['logprobs', { ...completion, logprobs: 0 }],
  ['logprobs', { ...completion, logprobs: false }],
  ['echo', { ...completion, echo: true }],
  ['echo', { ...completion, suffix: 'end' }],
  ['penalty', { presence_penalty: 0.1 }],
  ['penalty', { frequency_penalty: 0.1 }],
  ['penalty', { frequency_penalty: 0.1, repetition_penalty: null }],
  ['penalty', { frequency_penalty: 0.1, repetition_penalty: 1.1 }],
  ['memory', { bad_words: ['no'] }],
  ['memory', { ...completion, prompt_embeds: 'AAAA' }],
  ['media', { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: {} }] }] }],
  ['media', { messages: 'hi' }],
  ['seed', { seed: 2 ** 60 }],
  ['malformed', { max_tokens: 'many' }],
  ['malformed', { stop: [''] }],
  ['malformed', { stop: 7 }],
  ['malformed', { stream: 'yes' }],
  ['malformed', { stream_options: { include_usage: true } }],
  ['malformed', { logit_bias: { 5: 'x' } }],
];

test('[S12] a frequency penalty is made up for where an engine is known to add no other', () => {
  const neutral: Partial<Engines> = {
    ability: { ...noAbility, keyedByPosition: true, neutralPenalties: true },
  };
  const wayOf = (body: object): string => ask('chat', { ...chat, stream: true, ...body }, neutral).way;
  equal(wayOf({ frequency_penalty: 0.1 }), 'ids');
  equal(wayOf({ frequency_penalty: 0.1, repetition_penalty: null }), 'ids');
  equal(wayOf({ frequency_penalty: 0.1, repetition_penalty: 1.1 }), 'replay');
  equal(wayOf({ presence_penalty: 0.1 }), 'replay');
});

test('[S12] plain text is continued from ids', () => {
  for (const body of plainChats)
    equal(ask('chat', { ...chat, ...body }, keyed).way, 'ids', JSON.stringify(body));
  for (const body of plainCompletions)
    equal(ask('completions', { ...completion, ...body }).way, 'ids', JSON.stringify(body));
});

for (const [because, body] of others) {
  test(`[S12] ${JSON.stringify(body)} is passed on untouched: ${because}`, () => {
    const endpoint = 'prompt' in body ? 'completions' : 'chat';
    const request = ask(endpoint, { ...chat, ...body });
    equal(request.way, 'whole');
    equal(request.way === 'whole' && request.because, because);
  });
}

test('[S12] a chat without a limit is plain only where the length of the context is known', () => {
  const request = ask('chat', chat, { maxModelLen: null });
  equal(request.way === 'whole' && request.because, 'context');
  equal(ask('chat', { ...chat, max_completion_tokens: 5 }, { maxModelLen: null }).way, 'ids');
  equal(ask('completions', completion, { maxModelLen: null }).way, 'ids');
});

test('max_completion_tokens goes before max_tokens', () => {
  const request = ask('chat', { ...chat, max_completion_tokens: 5, max_tokens: 9 });
  deepEqual(request.way === 'ids' && request.maxTokens, 5);
});

test('[S18] what is told the same a second time is asked again and compared, if it is streamed', () => {
  const sure: readonly (readonly [string, Record<string, unknown>])[] = [
    ['choices', { n: 2, seed: 1 }],
    ['grammar', { response_format: { type: 'json_object' }, temperature: 0 }],
    ['penalty', { presence_penalty: 0.1, top_k: 1 }],
    ['seed', { seed: 2 ** 60 }],
    ['generator', { seed: 7 }],
  ];
  for (const [because, body] of sure) {
    const request = ask('chat', { ...chat, ...body, stream: true });
    deepEqual(request.way === 'replay' && request.because, because);
    equal(ask('chat', { ...chat, ...body }).way, 'whole');
  }
  equal(ask('chat', { ...chat, presence_penalty: 0.1, stream: true }).way, 'whole');
  // Which is no seed.
  equal(ask('chat', { ...chat, presence_penalty: 0.1, seed: -1, stream: true }).way, 'whole');
  equal(ask('chat', { ...chat, max_tokens: 'many', seed: 1, stream: true }).way, 'whole');
});

test('[S18] where engines draw by position, a request that draws freely is given a seed', () => {
  const engines = { ...keyed, seed: 99 };
  const grammar = { ...chat, structured_outputs: { regex: 'a*' }, stream: true };
  const request = ask('chat', grammar, engines);
  deepEqual(request.way === 'replay' && JSON.parse(request.raw), { ...grammar, seed: 99 });
  const plain = ask('chat', chat, engines);
  deepEqual(plain.way === 'ids' && [plain.body['seed'], plain.draws], [99, 'free']);
  const unseeded = ask('chat', { ...chat, seed: -1 }, engines);
  deepEqual(unseeded.way === 'ids' && [unseeded.body['seed'], unseeded.draws], [99, 'free']);
  for (const body of [{ seed: 3 }, { temperature: 0 }]) {
    const given = ask('chat', { ...chat, ...body }, engines);
    deepEqual(given.way === 'ids' && given.body, { ...chat, ...body });
  }
});

test('[S19] numbers in the schema of a tool reach its engine as they were written, for the model reads them', () => {
  const schema = '{"minimum":1.0,"maximum":9223372036854775807}';
  const tool = `{"type":"function","function":{"name":"f","parameters":${schema}}}`;
  const raw = `{"model":"tiny","stream":true,"n":2,"messages":${JSON.stringify(messages)},"tools":[${tool}]}`;
  const body = JSON.parse(raw) as Json;
  const ability = { ...noAbility, scaleOut: true, keyedByPosition: true };
  const answer = readAnswer('chat', { body, raw }, { maxModelLen: 4_096, ability, seed: 7 }, null);
  const parts = answer.way === 'apart' ? answer.parts : [];
  const legs = parts.map((part) => (part.way === 'derender' ? firstLegOf(part).body : ''));
  ok(legs.length === 2 && legs.every((leg) => leg.includes(schema)));
  deepEqual(
    legs.map((leg) => JSON.parse(leg) as Json),
    [7, 8].map((seed) => ({ ...body, n: 1, seed, return_token_ids: true })),
  );
});

test('[S12] a plain request reaches its engine as it was written, with what is to be changed behind it', () => {
  const written = '"max_tokens" : 5, "chat_template_kwargs":{"at":1.0,"id":9223372036854775807}';
  const legOf = (fields: string): string => {
    const raw = `{"model":"tiny", "messages":${JSON.stringify(messages)}, ${written}${fields}}`;
    const engines = { maxModelLen: 4_096, ability: noAbility, seed: 1 };
    const request = readRequest('chat', { body: JSON.parse(raw) as Json, raw }, engines, null);
    const { body } = request.way === 'ids' ? firstLeg(request) : { body: '' };
    ok(body.startsWith(raw.slice(0, -1)), body);
    return body.slice(raw.length - 1);
  };
  equal(legOf(',"stream":true'), ',"return_token_ids":true}');
  equal(legOf(',"stream":true,"return_token_ids":true,"stream_options":{"include_usage":true}'), '}');
  deepEqual(JSON.parse(`{${legOf(',"stream":false,"stop":"x"').slice(1)}`), {
    ...{ stream: true, return_token_ids: true, stream_options: { include_usage: true } },
    stop: [],
  });
});

test('[S18] choices are counted by n and by prompts', () => {
  const count = (body: Record<string, unknown>) => {
    const request = ask('completions', { ...completion, temperature: 0, echo: true, stream: true, ...body });
    return request.way === 'replay' && request.choices;
  };
  deepEqual([count({}), count({ prompt: ['a', 'b'], n: 3 }), count({ prompt: [1, 2] })], [1, 6, 1]);
  // Which an engine is to refuse.
  deepEqual([count({ n: 0 }), count({ n: -1 })], [1, 1]);
});

test('[S19] a streamed chat with tools goes on from ids where engines render and the model is free', () => {
  const engines: Partial<Engines> = { ability: { ...noAbility, scaleOut: true } };
  const tools = [{ type: 'function', function: { name: 'f' } }];
  const asked = { ...chat, tools, stream: true, temperature: 0 };
  const wayOf = (body: Record<string, unknown>, able = engines) =>
    ask('chat', { ...asked, ...body }, able).way;
  deepEqual(
    [wayOf({}), wayOf({ tool_choice: 'auto' }), wayOf({ seed: 7 })],
    ['derender', 'derender', 'derender'],
  );
  const strict = [{ type: 'function', function: { name: 'f', strict: true } }];
  const others = [
    { tool_choice: 'required' },
    { tools: strict },
    { stop: ['x'] },
    { logprobs: true },
    { n: 2 },
  ];
  for (const body of others) equal(wayOf(body), 'replay', JSON.stringify(body));
  equal(wayOf({ temperature: 1, seed: 7 }), 'replay');
  equal(wayOf({ stream: false }), 'whole');
  equal(wayOf({}, {}), 'replay');
});
