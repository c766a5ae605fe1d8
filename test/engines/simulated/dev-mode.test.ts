/** Pausing and sleeping, which exist only with VLLM_SERVER_DEV_MODE=1. */
import { deepEqual, equal, match } from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { EngineProcess, until } from './engine-process.ts';

let engine: EngineProcess;
before(async () => (engine = await new EngineProcess([], { VLLM_SERVER_DEV_MODE: '1' }).ready()));
after(() => engine[Symbol.asyncDispose]());

const body = { prompt: 'hi', ignore_eos: true, max_tokens: 100, stream: true };

test('a pause that keeps freezes what runs and lets new requests hang, and a resume goes on with both', async () => {
  const first = engine.call('/v1/completions', body);
  await until('it runs', () => first.sofar().includes('data'));
  deepEqual((await engine.json('/pause?mode=keep', {})).body, { status: 'paused' });
  // What was on its way when it paused has come.
  let sofar = '';
  await until('it is silent', async () => {
    const before = sofar;
    sofar = first.sofar();
    await pause(100);
    return before === sofar;
  });
  const second = engine.call('/v1/completions', body);
  await pause(150);
  equal(first.sofar(), sofar);
  deepEqual(
    [await engine.metric('vllm:num_requests_running'), await engine.metric('vllm:num_requests_waiting')],
    [1, 0],
    'it looks like a wedge',
  );
  equal((await engine.get('/is_paused')).body, '{"is_paused":true}');
  deepEqual((await engine.json('/resume', {})).body, { status: 'resumed' });
  for (const call of [first, second]) match((await call.answer).body, /"finish_reason":"length"/);
});

test('a pause that aborts ends streams with an abort, one that waits lets them finish', async () => {
  const aborted = engine.call('/v1/completions', body);
  await until('it runs', () => aborted.sofar().includes('data'));
  await engine.post('/pause', {});
  match(
    (await aborted.answer).body,
    /"text":"","logprobs":null,"finish_reason":"abort".*\n\ndata: \[DONE\]\n\n$/,
  );
  await engine.post('/resume', {});
  const finished = engine.call('/v1/completions', body);
  await until('it runs', () => finished.sofar().includes('data'));
  await engine.post('/pause?mode=wait', {});
  match((await finished.answer).body, /"finish_reason":"length"/);
  await engine.post('/resume', {});
});

test('a sleeping engine says so, and wakes', async () => {
  deepEqual((await engine.json('/sleep?level=1', {})).body, { status: 'sleeping', level: 1 });
  equal((await engine.get('/is_sleeping')).body, '{"is_sleeping":true}');
  match((await engine.get('/metrics')).body, /sleep_state="weights_offloaded"\} 1\.0/);
  await engine.post('/wake_up', {});
  equal((await engine.get('/is_sleeping')).body, '{"is_sleeping":false}');
  equal((await engine.post('/v1/completions', { ...body, max_tokens: 1 })).status, 200);
});
