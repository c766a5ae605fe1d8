/** /v1/chat/completions and /tokenize: the role chunk, where ids stand, echo, and what prompts become. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { expectedContinuation } from '../../../src/engines/simulated/model.ts';
import { encode, eosId } from '../../../src/engines/simulated/vocabulary.ts';
import { EngineProcess, type Event } from './engine-process.ts';

let engine: EngineProcess;
before(async () => (engine = await new EngineProcess(['--token-ms', '2']).ready()));
after(() => engine[Symbol.asyncDispose]());

const path = '/v1/chat/completions';
const messages = [{ role: 'user', content: 'hi the é' }];
const base = { messages, temperature: 0, max_tokens: 5, return_token_ids: true };
const promptIds = encode('<|im_start|>user\nhi the é<|im_end|>\n<|im_start|>assistant\n', 100);

test('a stream opens with the role and the prompt ids, then content and ids token by token', async () => {
  const events = await engine.stream(path, base);
  const [role, first] = events;
  deepEqual(role.choices, [
    { index: 0, delta: { role: 'assistant', content: '' }, logprobs: null, finish_reason: null },
  ]);
  deepEqual(Object.keys(role).slice(-2), ['prompt_token_ids', 'prompt_text']);
  deepEqual([role.prompt_token_ids, role.prompt_text], [promptIds, null]);
  deepEqual(Object.keys(first.choices[0]), ['index', 'delta', 'logprobs', 'finish_reason', 'token_ids']);
  const end = events.at(-2);
  deepEqual(Object.keys(end.choices[0]).slice(-3), ['finish_reason', 'stop_reason', 'token_ids']);
  match(end.system_fingerprint, /^vllm-/);
  const ids = events.slice(1, -1).flatMap((event) => event.choices[0].token_ids as number[]);
  deepEqual(ids, expectedContinuation({ promptIds, count: 5 }));
  ok(events.slice(0, -1).every((event) => event.object === 'chat.completion.chunk' && event.id === role.id));
});

test('without return_token_ids the same keys are null', async () => {
  const [role, first] = await engine.stream(path, { ...base, return_token_ids: false });
  deepEqual([role.prompt_token_ids, first.choices[0].token_ids], [null, null]);
});

test('usage in every chunk begins at nothing with the role', async () => {
  const options = { include_usage: true, continuous_usage_stats: true };
  const events = (await engine.stream(path, { ...base, stream_options: options })).slice(0, -1);
  const counted = events.map((event) => event.usage.completion_tokens as number);
  deepEqual([counted[0], counted.at(-2), counted.at(-1)], [0, 5, 5]);
  ok('completion_tokens_details' in events[0].usage && !('completion_tokens_details' in events.at(-1).usage));
});

test('each of n choices has a role chunk, before any content', async () => {
  const events = await engine.stream(path, { ...base, n: 2, seed: 1, temperature: 0.7 });
  deepEqual(
    events.slice(0, 2).map((event) => [event.choices[0].index, event.choices[0].delta.role]),
    [
      [0, 'assistant'],
      [1, 'assistant'],
    ],
  );
});

test('echo repeats the open last message in a chunk of its own', async () => {
  const open = [...messages, { role: 'assistant', content: 'so' }];
  const body = {
    ...base,
    messages: open,
    echo: true,
    continue_final_message: true,
    add_generation_prompt: false,
  };
  const events = await engine.stream(path, body);
  deepEqual(events[1].choices, [{ index: 0, delta: { content: 'so' }, logprobs: null, finish_reason: null }]);
  const ids = encode('<|im_start|>user\nhi the é<|im_end|>\n<|im_start|>assistant\nso', 100);
  deepEqual(events[0].prompt_token_ids, ids);
});

test('a whole answer has a message and every key of the real one', async () => {
  const { body } = await engine.json(path, base);
  deepEqual(Object.keys(body.choices[0].message), [
    'role',
    'content',
    'refusal',
    'annotations',
    'audio',
    'function_call',
    'reasoning',
  ]);
  deepEqual(Object.keys(body).slice(-7), [
    'usage',
    'prompt_logprobs',
    'prompt_token_ids',
    'prompt_text',
    'kv_transfer_params',
    'ec_transfer_params',
    'metrics',
  ]);
  deepEqual(body.choices[0].token_ids, expectedContinuation({ promptIds, count: 5 }));
});

test('logprobs carry the bytes of each token, and the end of the turn by its name', async () => {
  const ended = { ...base, logprobs: true, top_logprobs: 1, logit_bias: { [eosId]: 100 } };
  const { body } = await engine.json(path, ended);
  const [token] = body.choices[0].logprobs.content;
  equal(token.token, '<|im_end|>');
  deepEqual(token.bytes, [...Buffer.from('<|im_end|>')]);
  equal(token.top_logprobs.length, 1);
  equal(body.choices[0].message.content, '');
});

test('content may come in parts, tools in a system turn', async () => {
  const parts = [{ role: 'user', content: [{ type: 'text', text: 'hi the é' }] }];
  const { body } = await engine.json(path, { ...base, messages: parts });
  deepEqual(body.prompt_token_ids, promptIds);
  const tools = [{ type: 'function', function: { name: 'f', parameters: {} } }];
  const { body: tokens } = await engine.json('/tokenize', { messages, tools, return_token_strs: true });
  ok(tokens.count > promptIds.length && tokens.token_strs.length === tokens.count);
  equal(tokens.token_strs[0], '<|im_start|>');
});

test('what is tokenized can be detokenized', async () => {
  const { body } = await engine.json('/tokenize', { prompt: 'hello the é 世' });
  deepEqual([body.max_model_len, body.token_strs, body.count], [8192, null, body.tokens.length]);
  deepEqual((await engine.json('/detokenize', { tokens: body.tokens })).body, { prompt: 'hello the é 世' });
});

test('a small context, another name, headers with ids: flags change what they should', async () => {
  const flags = ['--served-model-name', 'tiny', '--max-model-len', '1k', '--enable-request-id-headers'];
  await using small = await new EngineProcess(flags).ready();
  const models = await small.get('/v1/models');
  const [model] = (JSON.parse(models.body) as Event).data;
  deepEqual([model.id, model.root, model.max_model_len], ['tiny', 'simulated', 1000]);
  match(String(models.headers['x-request-id']), /^[0-9a-f]{32}$/);
  const named = await small.post(path, { ...base, max_tokens: 1 }, { 'x-request-id': 'gw-42' });
  equal(named.headers['x-request-id'], 'gw-42');
  equal((JSON.parse(named.body) as Event).id, 'chatcmpl-gw-42');
});
