/** How the engine says no: status, type, parameter and sentence of vLLM for each kind of bad request. */
import { deepEqual, equal, match } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { EngineProcess, type Event } from './engine-process.ts';

let engine: EngineProcess;
before(async () => (engine = await new EngineProcess(['--max-model-len', '4096']).ready()));
after(() => engine[Symbol.asyncDispose]());

const completions = '/v1/completions';
const chat = '/v1/chat/completions';
const ids = (count: number): readonly number[] => Array.from({ length: count }, () => 75);

type Case = readonly [
  path: string,
  body: unknown,
  status: number,
  type: string,
  param: string | null,
  said: RegExp,
];

const cases: readonly Case[] = [
  [
    completions,
    '{"prompt": nope',
    400,
    'Bad Request',
    'body.11',
    /^1 validation error:\n {2}\{'type': 'json_invalid'/,
  ],
  [chat, 'not json', 400, 'Bad Request', 'body.0', /'msg': 'JSON decode error'/],
  [chat, {}, 400, 'Bad Request', 'body.messages', /'type': 'missing', 'loc': 'body.messages'/],
  [completions, {}, 400, 'BadRequestError', 'prompt', /^Either prompt or prompt_embeds must be provided/],
  [completions, { prompt: [] }, 400, 'BadRequestError', null, /^You must pass at least one prompt$/],
  [completions, { prompt: '', model: 'x' }, 400, 'BadRequestError', 'prompt', /non-empty/],
  [completions, { prompt: [-3] }, 400, 'Bad Request', 'body.prompt.0', /^4 validation errors:/],
  [completions, { prompt: ['a', [70]] }, 400, 'Bad Request', 'body.prompt.0', /validation errors:/],
  [completions, { prompt: [99_999] }, 400, 'BadRequestError', null, /^Token id 99999 is out of vocabulary$/],
  [
    completions,
    { prompt: 'a', model: 'no' },
    404,
    'NotFoundError',
    'model',
    /^The model `no` does not exist\. Valid aliases: simulated\.$/,
  ],
  [chat, { messages: [], model: 'no' }, 404, 'NotFoundError', 'model', /does not exist/],
  [
    completions,
    { prompt: 'a', max_tokens: 5000 },
    400,
    'BadRequestError',
    'max_tokens',
    /^max_tokens=5000 cannot be greater than max_model_len=4096\. /,
  ],
  [
    completions,
    { prompt: ids(4200) },
    400,
    'BadRequestError',
    'input_tokens',
    /your prompt contains 4200 input tokens/,
  ],
  [
    completions,
    { prompt: 'x'.repeat(4200), stream: true },
    400,
    'BadRequestError',
    'input_tokens',
    /at least 4097 input tokens/,
  ],
  [
    completions,
    { prompt: ids(4096) },
    400,
    'BadRequestError',
    'max_tokens',
    /^max_tokens must be at least 1, got 0\. /,
  ],
  [completions, { prompt: 'a', max_tokens: 0 }, 400, 'BadRequestError', 'max_tokens', /got 0/],
  [completions, { prompt: 'a', max_tokens: -1 }, 400, 'BadRequestError', 'max_tokens', /got -1/],
  [
    completions,
    { prompt: 'a', temperature: -1 },
    400,
    'BadRequestError',
    'temperature',
    /^temperature must be non-negative, got -1\.0\. \(parameter=temperature, value=-1\.0\)$/,
  ],
  [
    completions,
    { prompt: 'a', temperature: 4 },
    400,
    'BadRequestError',
    'temperature',
    /^temperature must be in \[0, 2\], got 4\.0\. \(parameter=temperature, value=4\.0\)$/,
  ],
  [
    completions,
    { prompt: 'a', temperature: 'hot' },
    400,
    'Bad Request',
    'body.temperature',
    /'float_parsing'.*'input': 'hot'/,
  ],
  [
    completions,
    { prompt: 'a', top_p: 2 },
    400,
    'BadRequestError',
    'top_p',
    /^top_p must be in \(0, 1\], got 2\.0\./,
  ],
  [completions, { prompt: 'a', n: 0 }, 400, 'BadRequestError', null, /^n must be at least 1, got 0\.$/],
  [
    completions,
    { prompt: 'a', logprobs: 50 },
    400,
    'BadRequestError',
    'logprobs',
    /^Requested sample logprobs of 50, which is greater than max allowed: 20/,
  ],
  [
    completions,
    { prompt: 'a', stream_options: {} },
    400,
    'BadRequestError',
    'stream_options',
    /^Stream options can only be defined when `stream=True`\./,
  ],
  [
    chat,
    { messages: [{ role: 'user', content: 'a' }], tools: [{}], tool_choice: 'auto' },
    400,
    'BadRequestError',
    null,
    /^"auto" tool choice requires/,
  ],
  ['/inference/v1/generate', {}, 403, 'PermissionDeniedError', null, /^Scale-out endpoints are disabled\./],
  [`${chat}/render`, {}, 403, 'PermissionDeniedError', null, /--enable-scale-out/],
];

for (const [path, body, status, type, param, said] of cases) {
  const shown = JSON.stringify(body).slice(0, 60);
  test(`${path} ${shown} is refused with ${status} ${type}`, async () => {
    const answer = await engine.post(path, body);
    const { error } = JSON.parse(answer.body) as Event;
    deepEqual(
      [answer.status, error.type, error.param, error.code, answer.headers.vary],
      [status, type, param, status, 'Origin'],
    );
    match(error.message, said);
    deepEqual(Object.keys(error), ['message', 'type', 'param', 'code']);
  });
}

test('a body that is not called JSON is not read', async () => {
  const answer = await engine.post(completions, { prompt: 'a' }, { 'content-type': 'text/plain' });
  equal(answer.status, 400);
  match(answer.body, /Unsupported Media Type: Only 'application\/json' is allowed/);
});

test('the router has its own words for a wrong path and a wrong method', async () => {
  const missing = await engine.get('/nope');
  deepEqual([missing.status, missing.body], [404, '{"detail":"Not Found"}']);
  const wrong = await engine.get(completions);
  deepEqual(
    [wrong.status, wrong.body, wrong.headers.allow],
    [405, '{"detail":"Method Not Allowed"}', 'POST'],
  );
  equal((await engine.get('//')).status, 404);
  equal((await engine.get('/pause')).status, 404, 'not without dev mode');
});

test('fields that nobody knows are ignored, and a missing model is the only one', async () => {
  const answer = await engine.post(completions, { prompt: 'hi', max_tokens: 2, frobnicate: 1 });
  equal(answer.status, 200);
  equal((JSON.parse(answer.body) as Event).model, 'simulated');
});

test('a key guards /v1 and /inference, and nothing else', async () => {
  await using guarded = await new EngineProcess(['--api-key', 'secret123', '--enable-scale-out']).ready();
  const prompt = { prompt: 'hi', max_tokens: 1 };
  const none = await guarded.post(completions, prompt);
  deepEqual([none.status, none.body, none.headers.vary], [401, '{"error":"Unauthorized"}', undefined]);
  equal((await guarded.post(completions, prompt, { 'x-api-key': 'secret123' })).status, 401);
  equal((await guarded.post(completions, prompt, { authorization: 'Bearer wrong' })).status, 401);
  equal((await guarded.post(completions, prompt, { authorization: 'Bearer secret123' })).status, 200);
  equal((await guarded.post('/inference/v1/generate', {})).status, 401);
  equal((await guarded.post('/tokenize', { prompt: 'hi' })).status, 200);
  equal((await guarded.get('/metrics')).status, 200);
});
