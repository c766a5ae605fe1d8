/** The supervision and the simulated engine, each as in production, over the socket between them. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { afterEach, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { simulatedSpec } from '../../src/engines/simulated.ts';
import { isIdle } from '../../src/engine/stage.ts';
import { Bench, type Daemon, until } from './bench.ts';

const entry = fileURLToPath(new URL('simulated/entry.ts', import.meta.url));
let bench: Bench;
beforeEach(() => (bench = new Bench()));
afterEach(() => bench.clear());

const start = (...extraArgs: string[]): Promise<Daemon> => {
  const respawn = (args: readonly string[]) => ({ command: process.execPath, args: [entry, ...args] });
  const spec = simulatedSpec({ respawn, servedName: 'simulated', socket: bench.socket, extraArgs });
  return bench.daemon({ ...spec, warmUp: true }, { wedgedMs: 2_000, sampleMs: 50 }).ready();
};

/** A stream of so many tokens, and all of it that came before it ended or was cut. */
async function stream(daemon: Daemon, tokens: number) {
  const body = { model: 'simulated', prompt: 'hello', max_tokens: tokens, stream: true, ignore_eos: true };
  const { dispatcher, origin } = daemon.host;
  const response = await dispatcher.request({
    origin,
    path: '/v1/completions',
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  let text = '';
  const ended = (async () => {
    for await (const piece of response.body as AsyncIterable<Buffer>) text += piece.toString();
    return 'ended';
  })().catch(() => 'cut');
  return { ended, text: () => text, cut: () => response.body.destroy() };
}

test('it becomes ready, its load is seen, and it stops with nothing left behind', async () => {
  const daemon = await start('--token-ms=20');
  deepEqual(daemon.status().models, ['simulated']);
  equal(daemon.status().maxModelLen, 8_192);
  const running = await stream(daemon, 500);
  await until(
    () => daemon.status().load?.byModel.get('simulated')?.running === 1,
    () => 'one request is seen',
  );
  running.cut();
  await until(
    () => isIdle(daemon.status()),
    () => 'idle again',
  );
  await daemon.stop(60_000);
  deepEqual(
    daemon.facts('engine.exited').map(({ code, signal }) => [code, signal]),
    [[0, null]],
  );
  deepEqual(await bench.processes(), []);
  equal(existsSync(bench.socket), false);
});

test('what it can do beyond answering is found out before it is ready', async () => {
  const { ability } = (await start('--token-ms=1')).status();
  deepEqual(ability, {
    scaleOut: true,
    keyedByPosition: true,
    repeatable: true,
    neutralPenalties: true,
    showsSpecials: false,
  });
});

test('a generator that begins again with each request is found out as well', async () => {
  const { ability } = (await start('--token-ms=1', '--rng=sequential')).status();
  deepEqual(ability, {
    scaleOut: true,
    keyedByPosition: false,
    repeatable: true,
    neutralPenalties: true,
    showsSpecials: false,
  });
});

test('a model told to take the likeliest token does not pass for one that draws by position, nor hides one', async () => {
  const likeliest = '--override-generation-config={"top_k":1,"temperature":0.7,"repetition_penalty":1.05}';
  const sequential = await start('--token-ms=1', '--rng=sequential', likeliest);
  equal(sequential.status().ability.keyedByPosition, false);
  await sequential.stop(5_000);
  const keyed = await start('--token-ms=1', likeliest);
  equal(keyed.status().ability.keyedByPosition, true);
});

test('with a stream that nobody cut SIGTERM is not enough, and the stop still ends in time', async () => {
  const daemon = await start('--token-ms=20');
  const running = await stream(daemon, 5_000);
  await until(
    () => running.text().length > 0,
    () => 'it streams',
  );
  const tookMs = await daemon.stop(2_000);
  // Its client would read for a hundred seconds.
  ok(tookMs < 20_000, `${Math.round(tookMs)} ms`);
  equal(await running.ended, 'cut');
  deepEqual(await bench.processes(), []);
});

test('an engine core that dies ends in exit code 0, which is a failure, and a new engine serves', async () => {
  const daemon = await start('--token-ms=20');
  const leader = daemon.facts('engine.spawned')[0]!.pid;
  const core = (await bench.processes()).find(({ pid }) => pid !== leader)!;
  const running = await stream(daemon, 5_000);
  process.kill(core.pid, 'SIGKILL');
  equal(await running.ended, 'ended');
  match(running.text(), /"error".*data: \[DONE\]/s);
  await until(
    () => daemon.status().restarts === 1 && daemon.phase === 'ready',
    () => daemon.phase,
  );
  const { why, code } = daemon.facts('engine.failed')[0]!;
  deepEqual({ why, code }, { why: 'exited', code: 0 });
});

test('a core that freezes with work in hand is found by its counters while /health says 200', async () => {
  const daemon = await start('--token-ms=20');
  const leader = daemon.facts('engine.spawned')[0]!.pid;
  const core = (await bench.processes()).find(({ pid }) => pid !== leader)!;
  const running = await stream(daemon, 5_000);
  await until(
    () => running.text().length > 0,
    () => 'it streams',
  );
  process.kill(core.pid, 'SIGSTOP');
  equal((await daemon.ask('/health')).status, 200);
  await until(
    () => daemon.status().restarts === 1 && daemon.phase === 'ready',
    () => daemon.phase,
  );
  equal(daemon.facts('engine.failed')[0]?.why, 'wedged');
  equal(await running.ended, 'cut');
});

test('the orphans of a killed leader are gone before the next engine answers', async () => {
  const daemon = await start();
  const before = await bench.processes();
  process.kill(daemon.facts('engine.spawned')[0]!.pid!, 'SIGKILL');
  await until(
    () => daemon.status().restarts === 1 && daemon.phase === 'ready',
    () => daemon.phase,
  );
  const now = await bench.processes();
  deepEqual(
    now.filter(({ pid }) => before.some((old) => old.pid === pid)),
    [],
  );
});

test('a wrong flag is told in the words of the engine', async () => {
  const respawn = (args: readonly string[]) => ({ command: process.execPath, args: [entry, ...args] });
  const spec = simulatedSpec({
    respawn,
    servedName: 's',
    socket: bench.socket,
    extraArgs: ['--no-such-flag'],
  });
  const daemon = bench.daemon(spec);
  daemon.tell({ type: 'start' });
  await until(
    () => daemon.facts('engine.failed').length > 0,
    () => daemon.phase,
  );
  const { code, cause } = daemon.facts('engine.failed')[0]!;
  equal(code, 2);
  match(cause ?? '', /error: unrecognized arguments: --no-such-flag/);
});
