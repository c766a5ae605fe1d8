/** /v1/completions key for key: where ids, usage, fingerprints and logprobs stand, and what streams do. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { expectedContinuation } from '../../../src/engines/simulated/model.ts';
import { decode, encode, eosId, idOfByte } from '../../../src/engines/simulated/vocabulary.ts';
import { EngineProcess, until, type Event } from './engine-process.ts';

let engine: EngineProcess;
before(async () => (engine = await new EngineProcess(['--token-ms', '2']).ready()));
after(() => engine[Symbol.asyncDispose]());

const path = '/v1/completions';
const base = { prompt: 'hello the', temperature: 0, ignore_eos: true, max_tokens: 6, return_token_ids: true };
const promptIds = encode('hello the', 100);
const expected = (count: number): number[] => expectedContinuation({ promptIds, count });

const choicesOf = (events: readonly Event[]): readonly Event[] =>
  events.filter((event) => event !== '[DONE]').flatMap((event: Event) => event.choices);
const idsOf = (events: readonly Event[], index = 0): readonly number[] =>
  choicesOf(events)
    .filter((choice) => choice.index === index)
    .flatMap((choice) => choice.token_ids);
const textOf = (events: readonly Event[]): string =>
  choicesOf(events)
    .map((choice) => choice.text)
    .join('');
const last = (events: readonly Event[]): Event => events.at(-2);

test('a stream has its ids and prompt ids where they belong, and ends in [DONE]', async () => {
  const events = await engine.stream(path, base);
  equal(events.at(-1), '[DONE]');
  deepEqual(idsOf(events), expected(6));
  const [first, ...others] = choicesOf(events).map((choice) => choice.prompt_token_ids);
  deepEqual(first, promptIds);
  ok(others.every((ids) => ids === null));
  const keys = ['index', 'text', 'logprobs', 'finish_reason', 'stop_reason', 'prompt_token_ids', 'token_ids'];
  deepEqual(Object.keys(events[0].choices[0]), keys);
  deepEqual(Object.keys(events[0]), ['id', 'object', 'created', 'model', 'choices']);
  deepEqual(Object.keys(last(events)), ['id', 'object', 'created', 'model', 'choices', 'system_fingerprint']);
  match(events[0].id, /^cmpl-[0-9a-f]{16}$/);
  match(last(events).system_fingerprint, /^vllm-0\.32\.0-[0-9a-f]{8}$/);
  equal(last(events).choices[0].finish_reason, 'length');
});

test('without return_token_ids the keys stay and are null', async () => {
  const events = await engine.stream(path, { ...base, return_token_ids: false });
  ok(choicesOf(events).every((choice) => choice.token_ids === null && choice.prompt_token_ids === null));
});

test('usage comes in a last chunk of its own, which then carries the fingerprint', async () => {
  const events = await engine.stream(path, { ...base, stream_options: { include_usage: true } });
  const usage = { prompt_tokens: promptIds.length, total_tokens: promptIds.length + 6, completion_tokens: 6 };
  deepEqual([last(events).choices, last(events).usage], [[], usage]);
  deepEqual(Object.keys(last(events)).slice(-2), ['usage', 'system_fingerprint']);
  equal(events.filter((event) => event.system_fingerprint !== undefined).length, 1);
});

test('continuous usage counts up in every chunk', async () => {
  const options = { include_usage: true, continuous_usage_stats: true };
  const events = await engine.stream(path, { ...base, stream_options: options });
  let sent = 0;
  for (const event of events.slice(0, -1)) {
    sent += event.choices[0]?.token_ids.length ?? 0;
    equal(event.usage.completion_tokens, sent);
  }
});

test('a continuation by ids goes on exactly, by text it would not have to', async () => {
  const whole = idsOf(await engine.stream(path, { ...base, max_tokens: 40 }));
  const prompt = [...promptIds, ...whole.slice(0, 17)];
  const rest = idsOf(await engine.stream(path, { ...base, prompt, max_tokens: 23 }));
  deepEqual([...whole.slice(0, 17), ...rest], whole);
});

test('a seed of -1 is none', async () => {
  const drawn = { ...base, temperature: 0.8 };
  deepEqual(
    idsOf(await engine.stream(path, { ...drawn, seed: -1 })),
    idsOf(await engine.stream(path, drawn)),
  );
});

test('choice i of n is a request of its own with seed + i', async () => {
  const seeded = { ...base, temperature: 0.8, seed: 7 };
  const both = await engine.stream(path, { ...seeded, n: 2 });
  deepEqual(idsOf(both, 1), idsOf(await engine.stream(path, { ...seeded, seed: 8 })));
  deepEqual(idsOf(both, 0), expectedContinuation({ promptIds, count: 6, seed: 7, temperature: 0.8 }));
  equal(both.filter((event) => event !== '[DONE]' && event.choices[0].finish_reason === 'length').length, 2);
});

test('several prompts have the index prompt x n + choice', async () => {
  const prompt = [encode('one', 9), encode('two', 9)];
  const events = await engine.stream(path, { ...base, prompt, n: 2, temperature: 1, seed: 1 });
  deepEqual([...new Set(choicesOf(events).map((choice) => choice.index))].sort(), [0, 1, 2, 3]);
  const firsts = choicesOf(events).filter((choice) => choice.prompt_token_ids !== null);
  deepEqual(
    firsts.sort((a, b) => a.index - b.index).map((choice) => choice.prompt_token_ids),
    [prompt[0], prompt[0], prompt[1], prompt[1]],
  );
});

test('echo repeats the prompt in the first text, unless its ids are returned', async () => {
  const plain = { ...base, echo: true, return_token_ids: false };
  const events = await engine.stream(path, plain);
  equal(textOf(events), `hello the${decode(expected(6), { skipSpecial: true })}`);
  deepEqual(events[0].choices[0].prompt_token_ids, promptIds, 'its ids come all the same');
  equal(
    textOf(await engine.stream(path, { ...base, echo: true })),
    decode(expected(6), { skipSpecial: true }),
  );
  const only = await engine.stream(path, { ...plain, max_tokens: 0 });
  deepEqual([only.length, only[0].choices[0].text], [2, 'hello the']);
});

test('a stop string holds characters back, ends the stream and is named; ids are all there', async () => {
  const allowed_token_ids = [...'hiost'].map((letter) => idOfByte(letter.charCodeAt(0)));
  const spelled = { ...base, allowed_token_ids, max_tokens: 24 };
  const whole = textOf(await engine.stream(path, spelled));
  const stop = whole.slice(9, 12);
  const events = await engine.stream(path, { ...spelled, stop: [stop] });
  equal(textOf(events), whole.slice(0, whole.indexOf(stop)));
  const end = last(events).choices[0];
  deepEqual([end.finish_reason, end.stop_reason], ['stop', stop]);
  equal(idsOf(events).length, whole.indexOf(stop) + 3);
  // A busy machine folds steps into one chunk, so what is held back is looked at after each, however many there are.
  let held = 0;
  for (const { text, token_ids } of choicesOf(events).slice(0, -1)) {
    const generated = held + token_ids.length;
    held = generated - text.length;
    equal(held, Math.min(2, generated), 'one character less than the stop string');
  }
  const included = await engine.stream(path, { ...spelled, stop: [stop], include_stop_str_in_output: true });
  equal(textOf(included), whole.slice(0, whole.indexOf(stop) + 3));
});

test('the end of the turn is a chunk without text, a stop token is named', async () => {
  const events = await engine.stream(path, { ...base, ignore_eos: false, logit_bias: { [eosId]: 100 } });
  const { text, finish_reason, stop_reason, token_ids } = last(events).choices[0];
  deepEqual([text, finish_reason, stop_reason, token_ids], ['', 'stop', null, [eosId]]);
  const third = expected(3)[2]!;
  const stopped = last(await engine.stream(path, { ...base, stop_token_ids: [third] })).choices[0];
  deepEqual([stopped.finish_reason, stopped.stop_reason], ['stop', third]);
});

test('logprobs name each token, its offset and its rivals', async () => {
  const events = await engine.stream(path, { ...base, logprobs: 2 });
  const { logprobs } = choicesOf(events)[0];
  deepEqual(Object.keys(logprobs), ['text_offset', 'token_logprobs', 'tokens', 'top_logprobs']);
  equal(logprobs.text_offset[0], 0);
  equal(
    choicesOf(events)
      .flatMap((choice) => choice.logprobs.tokens)
      .join(''),
    textOf(events),
  );
  equal(Object.keys(logprobs.top_logprobs[0]).length, 2);
  const byId = await engine.stream(path, { ...base, logprobs: 0, return_tokens_as_token_ids: true });
  const named = choicesOf(byId).flatMap((choice) => choice.logprobs.tokens);
  deepEqual(
    named,
    expected(6).map((id) => `token_id:${id}`),
  );
  equal(choicesOf(byId).flatMap((choice) => choice.logprobs.text_offset)[1], named[0]!.length);
  const echoed = choicesOf(await engine.stream(path, { ...base, logprobs: 1, echo: true }))[0];
  equal(echoed.logprobs.tokens.length, promptIds.length + echoed.token_ids.length);
  equal(echoed.logprobs.token_logprobs[0], null);
});

test('a whole answer has every key of the real one, and the same tokens', async () => {
  const { status, body } = await engine.json(path, base);
  equal(status, 200);
  deepEqual(Object.keys(body), [
    'id',
    'object',
    'created',
    'model',
    'choices',
    'service_tier',
    'system_fingerprint',
    'usage',
    'kv_transfer_params',
    'ec_transfer_params',
    'metrics',
  ]);
  deepEqual(body.choices[0].token_ids, expected(6));
  deepEqual(body.choices[0].prompt_token_ids, promptIds);
  equal(body.choices[0].text, decode(expected(6), { skipSpecial: true }));
  deepEqual(body.usage, {
    prompt_tokens: promptIds.length,
    total_tokens: promptIds.length + 6,
    completion_tokens: 6,
    prompt_tokens_details: null,
    completion_tokens_details: null,
  });
});

test('max_tokens is 16 where none is given, and what exceeds the context is cut off', async () => {
  const { body } = await engine.json(path, { prompt: 'hi', ignore_eos: true });
  equal(body.usage.completion_tokens, 16);
  const long = { prompt: Array.from({ length: 8190 }, () => 70), max_tokens: 200, ignore_eos: true };
  const clamped = await engine.json(path, long);
  deepEqual([clamped.body.usage.completion_tokens, clamped.body.choices[0].finish_reason], [2, 'length']);
});

test('a prompt cut inside a character is repeated by the first text', async () => {
  const bytes = [...Buffer.from('hello 世')].map(idOfByte);
  const events = await engine.stream(path, {
    ...base,
    prompt: bytes.slice(0, -1),
    allowed_token_ids: [bytes.at(-1)],
  });
  equal(choicesOf(events)[0].text, 'hello 世');
});

test('a request id is taken from the header, else from the body', async () => {
  const one = { ...base, max_tokens: 1 };
  const named = await engine.post(path, { ...one, request_id: 'mine' }, { 'x-request-id': 'theirs' });
  equal((JSON.parse(named.body) as Event).id, 'cmpl-theirs');
  equal(named.headers['x-request-id'], undefined);
  equal((await engine.json(path, { ...one, request_id: 'mine' })).body.id, 'cmpl-mine');
});

test('a client that does not read for a while gets everything, several tokens in a chunk', async () => {
  await using slow = await new EngineProcess(['--token-ms', '0']).ready();
  const socket = connect(slow.socket);
  const body = JSON.stringify({ ...base, max_tokens: 8000, stream: true });
  socket.write(
    `POST ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
  await new Promise((resolve) => socket.once('readable', resolve));
  await until('the engine is done', async () => (await slow.metric('vllm:generation_tokens_total')) === 8000);
  let received = '';
  for await (const part of socket) received += String(part);
  const events = received.split('\r\n').filter((line) => line.startsWith('data: {'));
  const ids = events.flatMap((line) => (JSON.parse(line.slice(6)) as Event).choices[0].token_ids as number[]);
  deepEqual(ids, expectedContinuation({ promptIds, count: 8000 }));
  ok(events.length < 8000, `${events.length} chunks for 8,000 tokens`);
});
