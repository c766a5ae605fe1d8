/** Starting, stopping and dying as real processes: what clients get, what is left running, which exit code. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createConnection, createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { freePort } from '../../../src/cli/dev/ports.ts';
import { expectedContinuation } from '../../../src/engines/simulated/model.ts';
import { eventsOf, type Call } from '../../conformance/talk.ts';
import { EngineProcess, processesOf, until, type Event } from './engine-process.ts';

const streamed = { prompt: 'hi', temperature: 0, ignore_eos: true, stream: true, return_token_ids: true };
const long = { ...streamed, max_tokens: 7000 };
const whole = { ...long, stream: false };
const path = '/v1/completions';
const engineDeath =
  '{"error": {"message": "EngineCore encountered an issue. See stack trace (above) for the root cause.", ' +
  '"type": "InternalServerError", "param": null, "code": 500}}';

const chunks = (text: string): number => eventsOf(text).length;

/** A stream of which something has arrived. */
async function streaming(engine: EngineProcess, body: object = long): Promise<Call> {
  const call = engine.call(path, body);
  await until('the stream has begun', () => chunks(call.sofar()) > 2);
  return call;
}

/** When what was on its way has come: the counter has stood still for a while. */
async function settledTokens(engine: EngineProcess): Promise<number> {
  let [before, counted] = [-1, -1];
  await until('the counter stands still', async () => {
    await pause(200);
    [before, counted] = [counted, await engine.metric('vllm:generation_tokens_total')];
    return before === counted;
  });
  return counted;
}

const refuses = async (engine: EngineProcess): Promise<boolean> =>
  (await engine.get('/health')).end === 'refused';

test('one group holds the API server and a child called VLLM::EngineCore', async () => {
  await using engine = await new EngineProcess([]).ready();
  const titles = processesOf(engine.pid).map(({ title }) => title);
  equal(titles.length, 2);
  ok(titles.some((title) => title.startsWith('VLLM::EngineCore')));
  match(engine.log, /Starting vLLM server on unix:.*\n.*Application startup complete\./);
  equal(execFileSync('stat', ['-c', '%a', engine.socket], { encoding: 'utf8' }).trim(), '755');
});

test('the socket file is there early and refuses until the engine is ready', async () => {
  await using engine = new EngineProcess(['--start-ms', '2000']);
  await until('the file is there', () => existsSync(engine.socket));
  equal(await refuses(engine), true);
  await engine.ready();
});

test('a socket file that is there already is a failed start, live or stale', async () => {
  await using first = await new EngineProcess([]).ready();
  await using second = new EngineProcess([], {}, first.folder);
  deepEqual(await second.exited, { code: 1, signal: null });
  match(second.log, /OSError: \[Errno 98\] Address already in use/);
  equal((await first.get('/health')).status, 200);
  process.kill(-first.pid, 'SIGKILL');
  await first.exited;
  await using third = new EngineProcess([], {}, first.folder);
  equal((await third.exited).code, 1);
});

test('mistakes on the command line end in 2, others at the start in 1, each with its line', () => {
  const entry = join(import.meta.dirname, 'entry.ts');
  const cases: readonly (readonly [flags: readonly string[], code: number, said: RegExp])[] = [
    [['--no-such-flag'], 2, /error: unrecognized arguments: --no-such-flag/],
    [['--dtype', 'bfloat99'], 2, /error: argument --dtype: invalid choice: 'bfloat99' \(choose from 'auto'/],
    [['--max-model-len', 'long'], 2, /argument --max-model-len: invalid int value: 'long'/],
    [['--rng', 'dice'], 2, /argument --rng: invalid choice: 'dice'/],
    [['--uds'], 2, /argument --uds: expected one argument/],
    [['/no/such/model'], 1, /LocalEntryNotFoundError/],
    [['--max-model-len', '999999'], 1, /User-specified max_model_len \(999999\) is greater than/],
  ];
  for (const [flags, code, said] of cases) {
    const { status, stderr } = spawnSync(process.execPath, [entry, ...flags], { encoding: 'utf8' });
    equal(status, code, flags.join(' '));
    match(stderr, said);
  }
});

test('a port that is taken is a failed start', async () => {
  const holder = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => holder.once('listening', resolve));
  const { port } = holder.address() as AddressInfo;
  const entry = join(import.meta.dirname, 'entry.ts');
  const run = spawnSync(process.execPath, [entry, '--host', '127.0.0.1', '--port', `${port}`], {
    encoding: 'utf8',
  });
  holder.close();
  equal(run.status, 1);
  match(run.stderr, /Address already in use/);
});

test('a SIGTERM while the core starts is lost', async () => {
  await using engine = new EngineProcess(['--start-ms', '2000']);
  await until('the core is there', () => processesOf(engine.pid).length === 2);
  process.kill(engine.pid, 'SIGTERM');
  await engine.ready();
});

test('an idle server exits with 0 soon after a SIGTERM, and leaves its socket file', async () => {
  await using engine = await new EngineProcess([]).ready();
  process.kill(engine.pid, 'SIGTERM');
  deepEqual(await engine.exited, { code: 0, signal: null });
  deepEqual(processesOf(engine.pid), []);
  equal(existsSync(engine.socket), true);
});

test('a SIGTERM without time silences streams for ever, refuses at once, and waits for the clients', async () => {
  await using engine = await new EngineProcess([]).ready();
  const stream = await streaming(engine);
  const answer = engine.call(path, whole);
  await until('both run', async () => (await engine.metric('vllm:num_requests_running')) === 2);
  process.kill(engine.pid, 'SIGTERM');
  await until('it refuses', () => refuses(engine));
  await until('the core is gone', () => processesOf(engine.pid).length === 1);
  const inAWhile = (): Promise<unknown> =>
    Promise.race([engine.exited, new Promise((resolve) => setTimeout(resolve, 400, 'still there'))]);
  equal(await inAWhile(), 'still there');
  // What was on its way when the core ended has come by now.
  const sofar = stream.sofar();
  process.kill(engine.pid, 'SIGTERM');
  process.kill(engine.pid, 'SIGINT');
  equal(await inAWhile(), 'still there');
  equal(stream.sofar(), sofar, 'not a byte more');
  equal(answer.sofar(), '', 'whole answers wait as well');
  stream.hangUp();
  deepEqual((await engine.exited).code, 0);
  equal((await answer.answer).status, 200);
});

test('with whole answers alone a SIGTERM cuts them off as aborted', async () => {
  await using engine = await new EngineProcess([]).ready();
  const call = engine.call(path, whole);
  await until('it computes', async () => (await engine.metric('vllm:generation_tokens_total')) > 5);
  process.kill(engine.pid, 'SIGTERM');
  const { status, body } = await call.answer;
  const { choices, usage } = JSON.parse(body) as Event;
  deepEqual([status, choices[0].finish_reason], [200, 'abort']);
  ok(choices[0].token_ids.length > 5 && choices[0].token_ids.length === usage.completion_tokens);
  equal((await engine.exited).code, 0);
});

test('a kept connection goes with the answer that was cut off, not five seconds later', async () => {
  await using engine = await new EngineProcess([]).ready();
  const socket = createConnection(engine.socket);
  const body = JSON.stringify(whole);
  socket.write(
    `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n` +
      `content-length: ${body.length}\r\n\r\n${body}`,
  );
  await until('it computes', async () => (await engine.metric('vllm:generation_tokens_total')) > 5);
  const signalledAt = performance.now();
  process.kill(engine.pid, 'SIGTERM');
  await engine.exited;
  ok(performance.now() - signalledAt < 4000);
  socket.destroy();
});

test('a drain finishes what runs and turns new work away in three ways', async () => {
  await using engine = await new EngineProcess(['--shutdown-timeout', '30']).ready();
  // It goes on for longer than all that is asked meanwhile takes on a busy machine.
  const call = await streaming(engine, { ...streamed, max_tokens: 250 });
  process.kill(engine.pid, 'SIGTERM');
  await until('text is refused', async () => (await engine.post(path, { prompt: 'hi' })).status === 500);
  const text = await engine.post('/tokenize', { prompt: 'hi' });
  equal(text.status, 500);
  equal(text.headers.vary, undefined);
  match(text.body, /"cannot schedule new futures after shutdown"/);
  equal((await engine.post('/v1/chat/completions', { messages: [], stream: true })).status, 500);
  const ids = await engine.json(path, { prompt: [71, 72], max_tokens: 3 });
  deepEqual([ids.status, ids.body.choices[0].text, ids.body.choices[0].finish_reason], [200, '', 'abort']);
  deepEqual(await engine.stream(path, { prompt: [71, 72], max_tokens: 3 }), ['[DONE]']);
  equal((await engine.get('/health')).status, 200);
  equal((await engine.get('/v1/models')).status, 200);
  process.kill(engine.pid, 'SIGTERM');
  const { body, end } = await call.answer;
  equal(end, 'complete');
  match(body, /"finish_reason":"length"/);
  deepEqual(await engine.exited, { code: 0, signal: null });
  deepEqual(processesOf(engine.pid), []);
});

test('a drain that takes too long ends like a SIGTERM without time', async () => {
  await using engine = await new EngineProcess(['--shutdown-timeout', '0.4']).ready();
  const stream = await streaming(engine);
  process.kill(engine.pid, 'SIGTERM');
  await until('it refuses', () => refuses(engine));
  const sofar = stream.sofar();
  equal(sofar.includes('[DONE]'), false);
  stream.hangUp();
  equal((await engine.exited).code, 0);
});

test('when the core is killed streams hear of it, whole answers are 500, and the exit code is 0', async () => {
  await using engine = await new EngineProcess([]).ready();
  const stream = await streaming(engine);
  const answer = engine.call(path, whole);
  await until('both run', async () => (await engine.metric('vllm:num_requests_running')) === 2);
  process.kill(engine.corePid(), 'SIGKILL');
  const { body, end } = await stream.answer;
  equal(end, 'complete');
  equal(body.endsWith(`data: ${engineDeath}\n\ndata: [DONE]\n\n`), true);
  const failed = await answer.answer;
  deepEqual([failed.status, failed.headers.vary], [500, 'Origin']);
  deepEqual(JSON.parse(failed.body), JSON.parse(engineDeath));
  const health = await engine.get('/health');
  ok(health.status === 503 || health.end === 'refused', '503 for a moment, then nothing');
  deepEqual(await engine.exited, { code: 0, signal: null });
  deepEqual(processesOf(engine.pid), []);
});

test('when the API server is killed the core lives on as an orphan, until it is told to go', async () => {
  await using engine = await new EngineProcess([]).ready();
  const stream = await streaming(engine);
  const core = engine.corePid();
  process.kill(engine.pid, 'SIGKILL');
  equal((await stream.answer).end, 'cut');
  deepEqual(await engine.exited, { code: null, signal: 'SIGKILL' });
  await pause(300);
  deepEqual(
    processesOf(engine.pid).map(({ pid }) => pid),
    [core],
  );
  process.kill(core, 'SIGTERM');
  await until('it is gone', () => processesOf(engine.pid).length === 0);
});

test('a frozen core freezes the counters and not the health, and loses nothing', async () => {
  await using engine = await new EngineProcess([]).ready();
  const call = await streaming(engine, { ...streamed, max_tokens: 150 });
  const core = engine.corePid();
  process.kill(core, 'SIGSTOP');
  const counted = await settledTokens(engine);
  ok(counted < 150);
  await pause(200);
  equal(await engine.metric('vllm:generation_tokens_total'), counted);
  equal(await engine.metric('vllm:num_requests_running'), 1);
  equal((await engine.get('/health')).status, 200);
  process.kill(core, 'SIGCONT');
  const events = eventsOf((await call.answer).body).slice(0, -1) as readonly Event[];
  const ids = events.flatMap((event) => event.choices[0].token_ids as number[]);
  const promptIds = events[0].choices[0].prompt_token_ids as number[];
  deepEqual(ids, expectedContinuation({ promptIds, count: 150 }));
});

test('a client that leaves frees its place at once, and a queue shows as waiting', async () => {
  await using engine = await new EngineProcess(['--max-num-seqs', '2']).ready();
  const calls = [long, whole, long, long].map((body) => engine.call(path, body));
  await until('two wait', async () => (await engine.metric('vllm:num_requests_waiting')) === 2);
  equal(await engine.metric('vllm:num_requests_running'), 2);
  for (const call of calls) call.hangUp();
  // Who waited runs for a moment where those that ran have left first.
  const here = ['vllm:num_requests_running', 'vllm:num_requests_waiting'];
  const counts = (): Promise<readonly number[]> => Promise.all(here.map((name) => engine.metric(name)));
  await until('nothing runs, and nothing waits', async () => (await counts()).every((count) => count === 0));
  const { body } = await engine.get('/metrics');
  match(body, /request_success_total\{engine="0",finished_reason="abort",model_name="simulated"\} 0\.0/);
});

test('an idle connection is closed after five seconds', async () => {
  await using engine = await new EngineProcess([]).ready();
  const socket = createConnection(engine.socket);
  const closed = new Promise((resolve) => socket.once('close', resolve));
  const askedAt = performance.now();
  let answeredAt = 0;
  socket.on('data', () => (answeredAt = performance.now()));
  socket.write('GET /health HTTP/1.1\r\nhost: x\r\n\r\n');
  await closed;
  const [most, least] = [askedAt, answeredAt].map((since) => performance.now() - since);
  ok(most! > 4900 && least! < 8000, `between ${Math.round(least!)} and ${Math.round(most!)} ms`);
});

test('on a port it refuses until it is ready, then serves', async () => {
  const port = await freePort();
  const child = spawn(
    process.execPath,
    [join(import.meta.dirname, 'entry.ts'), '--host', '127.0.0.1', '--port', `${port}`],
    {
      stdio: 'ignore',
    },
  );
  await until('it is healthy', () =>
    fetch(`http://127.0.0.1:${port}/health`).then(
      ({ ok }) => ok,
      () => false,
    ),
  );
  child.kill('SIGTERM');
  const code = await new Promise((resolve) => child.once('exit', resolve));
  equal(code, 0);
});
