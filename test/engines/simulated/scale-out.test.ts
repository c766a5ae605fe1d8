/** Ids in, ids out: render, generate and derender, and a generation carried over a loss between them. */
import { deepEqual, equal, match } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { expectedContinuation } from '../../../src/engines/simulated/model.ts';
import { encode } from '../../../src/engines/simulated/vocabulary.ts';
import { EngineProcess, until, type Event, type Loose } from './engine-process.ts';

let engine: EngineProcess;
before(async () => (engine = await new EngineProcess(['--enable-scale-out', '--token-ms', '2']).ready()));
after(() => engine[Symbol.asyncDispose]());

const generate = '/inference/v1/generate';
const chat = '/v1/chat/completions';
const request = {
  messages: [{ role: 'user', content: 'hi' }],
  temperature: 0,
  max_tokens: 30,
  ignore_eos: true,
};
const ids = (events: readonly Event[]): readonly number[] =>
  events
    .filter((event) => event !== '[DONE]')
    .flatMap((event) => event.choices.flatMap((c: Loose) => c.token_ids));

test('a rendered chat has the prompt ids of the chat itself, and is ready to generate', async () => {
  const { body } = await engine.json(`${chat}/render`, { ...request, stop: ['@@'], seed: 5 });
  deepEqual(Object.keys(body), [
    'request_id',
    'token_ids',
    'token_offsets',
    'features',
    'content_parts',
    'sampling_params',
    'model',
    'reasoning_ended',
    'reasoning_parser_kwargs',
    'return_token_ids',
    'output_mode',
    'stream',
    'stream_options',
    'cache_salt',
    'priority',
    'kv_transfer_params',
    'ec_transfer_params',
  ]);
  deepEqual([body.sampling_params.max_tokens, body.sampling_params.output_text_buffer_length], [30, 1]);
  match(body.request_id, /^chatcmpl-/);
  const whole = await engine.json(chat, { ...request, return_token_ids: true });
  deepEqual(body.token_ids, whole.body.prompt_token_ids);
  const generated = await engine.json(generate, body);
  deepEqual(generated.body.choices[0].token_ids, whole.body.choices[0].token_ids);
  equal(generated.body.request_id, `generate-tokens-${body.request_id}`);
});

test('rendered completions are a list, one for each prompt', async () => {
  const { body } = await engine.json('/v1/completions/render', { prompt: ['hello', 'the'], max_tokens: 5 });
  deepEqual(
    body.map((one: Loose) => [one.token_ids, one.request_id.slice(-2), one.reasoning_ended]),
    [
      [encode('hello', 9), '-0', null],
      [encode('the', 9), '-1', null],
    ],
  );
});

test('generate streams ids, and text where it is asked for', async () => {
  const sampling_params = { max_tokens: 6, temperature: 0, ignore_eos: true };
  const token_ids = encode('hello', 9);
  const events = await engine.stream(generate, { token_ids, sampling_params });
  deepEqual(ids(events), expectedContinuation({ promptIds: token_ids, count: 6 }));
  const end = events.at(-2).choices[0];
  deepEqual([end.finish_reason, end.weight_versions], ['length', [{ version: 'default', start: 0, end: 6 }]]);
  equal('text' in end, false);
  const told = await engine.stream(generate, { token_ids, sampling_params, output_mode: 'text' });
  equal(typeof told[0].choices[0].text, 'string');
  const scored = await engine.json(generate, {
    token_ids,
    sampling_params: { ...sampling_params, logprobs: 1 },
  });
  deepEqual(Object.keys(scored.body.choices[0].logprobs.content[0]), [
    'token_id',
    'logprob',
    'rank',
    'top_logprobs',
  ]);
});

test('generate takes what the context has room for, and refuses what it cannot read', async () => {
  const many = Array.from({ length: 8190 }, () => 70);
  const { body } = await engine.json(generate, {
    token_ids: many,
    sampling_params: { max_tokens: 9999, ignore_eos: true },
  });
  equal(body.choices[0].token_ids.length, 2);
  const refusals: readonly (readonly [object, string, string | null])[] = [
    [{ token_ids: [], sampling_params: {} }, 'Bad Request', 'body.token_ids'],
    [{ token_ids: [71, 72] }, 'Bad Request', 'body.sampling_params'],
    [{ token_ids: [99_999], sampling_params: {} }, 'BadRequestError', null],
    [{ token_ids: [...many, ...many], sampling_params: {} }, 'BadRequestError', null],
  ];
  for (const [asked, type, param] of refusals) {
    const refused = await engine.json(generate, asked);
    deepEqual([refused.status, refused.body.error.type, refused.body.error.param], [400, type, param]);
  }
});

test('a generation is aborted by its full id, and says so', async () => {
  const sampling_params = { max_tokens: 5000, ignore_eos: true };
  const call = engine.call(generate, { request_id: 'job-7', token_ids: [71], sampling_params, stream: true });
  await until('it runs', () => call.sofar().includes('token_ids'));
  const abort = (id: string) => engine.post('/inference/v1/abort_requests', { request_ids: [id] });
  deepEqual([(await abort('job-7')).status, (await abort('job-7')).body], [200, '']);
  equal(call.sofar().includes('abort'), false, 'the bare id does nothing');
  await abort('generate-tokens-job-7');
  // Tokens that were computed and not yet told come with the end.
  match(
    (await call.answer).body,
    /"finish_reason":"abort","stop_reason":null,"token_ids":\[[\d,]*\].*\n\ndata: \[DONE\]\n\n$/,
  );
});

test('the chunks of two engines, cut anywhere, derender to the text of the undisturbed chat', async () => {
  const undisturbed = await engine.json(chat, { ...request, return_token_ids: true });
  const { content } = undisturbed.body.choices[0].message;
  const { body: order } = await engine.json(`${chat}/render`, request);
  const all = undisturbed.body.choices[0].token_ids as readonly number[];
  for (const cut of [1, 7, 8, 9, 29]) {
    const rest = await engine.stream(generate, {
      ...order,
      stream: true,
      token_ids: [...order.token_ids, ...all.slice(0, cut)],
      sampling_params: { ...order.sampling_params, max_tokens: 30 - cut },
    });
    let state = null;
    let text = '';
    const batches = [all.slice(0, cut), ids(rest)];
    for (const [i, token_ids] of batches.entries()) {
      const finish_reason = i === 0 ? null : 'length';
      const generate_chunk = {
        request_id: 'r',
        choices: [{ index: 0, finish_reason, stop_reason: null, token_ids }],
      };
      const { body } = await engine.json(`${chat}/derender`, {
        stream: true,
        generate_chunk,
        stream_state: state,
      });
      state = body.stream_state;
      text += body.chunk.choices[0].delta.content ?? '';
      equal(body.chunk.choices[0].delta.role, i === 0 ? 'assistant' : null);
      equal(body.chunk.choices[0].finish_reason, finish_reason);
    }
    equal(text, content, `cut at ${cut}`);
  }
});

test('a whole response derenders to what chat and completions would have said', async () => {
  const { body: order } = await engine.json(`${chat}/render`, request);
  const { body: generate_response } = await engine.json(generate, order);
  const { body: direct } = await engine.json(chat, request);
  const told = await engine.json(`${chat}/derender`, {
    generate_response,
    prompt_tokens: order.token_ids.length,
  });
  deepEqual(told.body.choices[0].message, direct.choices[0].message);
  deepEqual(told.body.usage, direct.usage);
  const plain = await engine.json('/v1/completions/derender', {
    generate_responses: [generate_response],
    prompt_tokens: [order.token_ids.length],
  });
  equal(plain.body.choices[0].text, direct.choices[0].message.content);
});

test('a stream_state that is none is refused', async () => {
  const generate_chunk = { request_id: 'r', choices: [{ index: 0, token_ids: [70] }] };
  const stream_state = { prev_tokens: ['no token at all'] };
  const refused = await engine.json(`${chat}/derender`, { stream: true, generate_chunk, stream_state });
  equal(refused.status, 400);
});
