import { deepEqual, equal, match, notEqual, ok } from 'node:assert/strict';
import { existsSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { isIdle } from '../../src/engine/stage.ts';
import { noAbility } from '../../src/std/ability.ts';
import { Bench, until } from './bench.ts';

let bench: Bench;
beforeEach(() => (bench = new Bench()));
afterEach(() => bench.clear());

type Warm = { readonly model: string; readonly prompt: readonly number[]; readonly max_tokens: number };

const pids = async (): Promise<number[]> => (await bench.processes()).map(({ pid }) => pid);

test('an engine is spawned, warmed up, becomes ready, is asked, and stops with nothing left behind', async () => {
  const daemon = await bench.daemon(bench.spec()).ready();
  const { phase, models, maxModelLen } = daemon.status();
  deepEqual({ phase, models, maxModelLen }, { phase: 'ready', models: ['crooked'], maxModelLen: 2_048 });
  await until(
    () => isIdle(daemon.status()),
    () => 'idle',
  );
  match(
    (await daemon.ask('/asked')).text,
    /GET \/health.*GET \/v1\/models.*POST \/v1\/completions.*GET \/metrics/,
  );
  equal(daemon.status().load?.kvUsage, 0.25);
  await daemon.stop(60_000);
  deepEqual(await pids(), []);
  deepEqual([existsSync(bench.socket), existsSync(join(bench.dataDir, 'engine.json'))], [false, false]);
  deepEqual(daemon.facts('engine.exited'), [
    { fact: 'engine.exited', code: null, signal: 'SIGTERM', cause: null },
  ]);
});

test('the first request of its life is the warm-up, of 64 tokens', async () => {
  const daemon = await bench.daemon(bench.spec()).ready();
  const { model, prompt, max_tokens } = JSON.parse((await daemon.ask('/warmed-up-with')).text) as Warm;
  deepEqual({ model, tokens: prompt.length, max_tokens }, { model: 'crooked', tokens: 64, max_tokens: 2 });
});

test('an engine that says neither what it draws nor that it renders can do neither', async () => {
  const daemon = await bench.daemon(bench.spec()).ready();
  deepEqual(daemon.status().ability, noAbility);
});

test('an exit with code 0 is a failure with the cause from the log, and another engine takes over', async () => {
  const daemon = await bench.daemon(bench.spec()).ready();
  const [first] = await pids();
  await daemon.ask('/exit', { code: 0 }).catch((error: unknown) => ok(error instanceof Error));
  await until(
    () => daemon.status().restarts === 1 && daemon.phase === 'ready',
    () => daemon.phase,
  );
  deepEqual(daemon.facts('engine.failed'), [
    { fact: 'engine.failed', why: 'exited', code: 0, signal: null, cause: 'ValueError: told to exit' },
  ]);
  notEqual((await pids())[0], first);
  match(readFileSync(join(bench.dataDir, 'engine.log.1'), 'utf8'), /told to exit/);
});

test('a killed leader leaves orphans, outside its group and without environment: all are gone before the next engine', async () => {
  const daemon = await bench.daemon(bench.spec('--orphans')).ready();
  await until(
    async () => (await pids()).length === 4,
    () => 'four processes',
  );
  const before = await bench.processes();
  const leader = daemon.facts('engine.spawned')[0]!.pid!;
  process.kill(leader, 'SIGKILL');
  await until(
    () => daemon.status().restarts === 1 && daemon.phase === 'ready',
    () => daemon.phase,
  );
  const after = await bench.processes();
  deepEqual(
    after.filter(({ pid }) => before.some((old) => old.pid === pid)),
    [],
  );
  equal(daemon.facts('engine.failed')[0]?.signal, 'SIGKILL');
  await daemon.stop(5_000);
  deepEqual(await pids(), []);
});

test("Python's resource tracker is spared until it has cleared away what the dead leave behind", async () => {
  const daemon = await bench.daemon(bench.spec('--tracker')).ready();
  const left = join(bench.dataDir, 'shared-memory');
  await until(
    () => existsSync(left),
    () => 'something to clear away',
  );
  process.kill(daemon.facts('engine.spawned')[0]!.pid!, 'SIGKILL');
  await until(
    () => daemon.facts('engine.retrying').length === 1,
    () => daemon.phase,
  );
  equal(existsSync(left), false);
});

test('a resource tracker that does not end by itself is ended, and so is the scratch folder', async () => {
  const scratch = join(bench.dataDir, 'scratch');
  const daemon = await bench.daemon({ ...bench.spec('--tracker', '--stuck'), scratch }).ready();
  writeFileSync(join(scratch, 'file'), '');
  await daemon.stop(10_000);
  deepEqual([await pids(), existsSync(scratch)], [[], false]);
});

test('an engine that ignores SIGTERM is killed within the time of its stop', async () => {
  const daemon = await bench.daemon(bench.spec('--deaf', '--orphans'), { killMs: 3_000 }).ready();
  const tookMs = await daemon.stop(9_000);
  // It would go on for ever.
  ok(tookMs < 15_000, `${Math.round(tookMs)} ms`);
  deepEqual(await pids(), []);
  match(bench.output(), /not listening to SIGTERM/);
});

test('an engine that fails its warm-up is not ready, and one that refuses it is', async () => {
  const daemon = bench.daemon(bench.spec('--warm-up=500'));
  daemon.tell({ type: 'start' });
  await until(
    () => daemon.facts('engine.unwarmed').length >= 2,
    () => daemon.phase,
  );
  notEqual(daemon.status().phase, 'ready');
  await daemon.ask('/behave', { warmUp: 404 });
  await until(
    () => daemon.phase === 'ready',
    () => daemon.phase,
  );
});

test('an engine that never becomes ready is killed at its deadline and started again', async () => {
  const spec = { ...bench.spec(), args: ['-e', 'setInterval(() => {}, 1000)'] };
  const daemon = bench.daemon(spec, { readyMs: 300 });
  daemon.tell({ type: 'start' });
  await until(
    () => daemon.facts('engine.spawned').length >= 3,
    () => 'three attempts',
  );
  deepEqual(new Set(daemon.facts('engine.failed').map((fact) => fact.why)), new Set(['late']));
  ok((await pids()).length <= 1, 'one at a time');
});

test('a starting engine is stopped at once', async () => {
  const spec = {
    ...bench.spec(),
    args: ['-e', 'process.on("SIGTERM", () => {}); setInterval(() => {}, 1000)'],
  };
  const daemon = bench.daemon(spec);
  daemon.tell({ type: 'start' });
  await until(
    async () => (await pids()).length === 1,
    () => 'spawned',
  );
  ok((await daemon.stop(60_000)) < 30_000);
  deepEqual(await pids(), []);
});

test('an engine with work and no tokens is killed though its health is 200', async () => {
  const daemon = await bench.daemon(bench.spec()).ready();
  await daemon.ask('/behave', { metrics: 'wedged' });
  await until(
    () => daemon.status().restarts === 1 && daemon.phase === 'ready',
    () => daemon.phase,
  );
  equal(daemon.facts('engine.failed')[0]?.why, 'wedged');
});

test('[E14] an engine that says it is dead is killed and started again, and one that is well is not', async () => {
  const daemon = await bench.daemon(bench.spec()).ready();
  daemon.tell({ type: 'erred' });
  await until(
    async () => (await daemon.ask('/asked')).text.split('GET /health').length > 2,
    () => 'its health was asked',
  );
  equal(daemon.phase, 'ready');
  await daemon.ask('/behave', { health: 503 });
  daemon.tell({ type: 'erred' });
  await until(
    () => daemon.status().restarts === 1 && daemon.phase === 'ready',
    () => daemon.phase,
  );
  equal(daemon.facts('engine.failed')[0]?.why, 'dead');
});

test('[E14] an engine that listens no more is dead, whatever still runs of it', async () => {
  const daemon = await bench.daemon(bench.spec(), { wedgedMs: 60_000 }).ready();
  await daemon.ask('/deafen', {}).catch(() => 'it broke the connection off');
  await until(
    () => daemon.status().restarts === 1 && daemon.phase === 'ready',
    () => daemon.phase,
  );
  equal(daemon.facts('engine.failed')[0]?.why, 'dead');
});

test('an engine that is frozen is silent, and is killed', async () => {
  const daemon = await bench.daemon(bench.spec(), { answerMs: 300 }).ready();
  process.kill(daemon.facts('engine.spawned')[0]!.pid!, 'SIGSTOP');
  await until(
    () => daemon.status().restarts === 1 && daemon.phase === 'ready',
    () => daemon.phase,
  );
  equal(daemon.facts('engine.failed')[0]?.why, 'silent');
});

test('a program that is not there is said to be missing, and the node goes on', async () => {
  const daemon = bench.daemon({ ...bench.spec(), command: join(bench.dataDir, 'nothing') });
  daemon.tell({ type: 'start' });
  await until(
    () => daemon.facts('engine.exhausted').length === 1,
    () => daemon.phase,
  );
  match(daemon.facts('engine.failed')[0]!.cause ?? '', /missing: ENOENT/);
  equal(daemon.status().phase, 'down');
});

test('an engine that dies at once does not hide: each exit is counted', async () => {
  const daemon = bench.daemon(bench.spec('--exit=1'));
  daemon.tell({ type: 'start' });
  await until(
    () => daemon.facts('engine.exhausted').length === 1,
    () => daemon.phase,
  );
  deepEqual(
    new Set(daemon.facts('engine.failed').map(({ why, code }) => `${why} ${code}`)),
    new Set(['exited 1']),
  );
});

test('a daemon that comes back adopts its engine, notices its exit, and can stop it', async () => {
  const first = await bench.daemon(bench.spec()).ready();
  const [pid] = await pids();
  await first.crash();
  const second = await bench.daemon(bench.spec()).ready();
  deepEqual(second.facts('engine.adopted'), [{ fact: 'engine.adopted', pid }]);
  deepEqual(await pids(), [pid]);
  equal(second.facts('engine.spawned').length, 0);
  process.kill(pid!, 'SIGKILL');
  await until(
    () => second.status().restarts === 1 && second.phase === 'ready',
    () => second.phase,
  );
  equal(second.facts('engine.failed')[0]?.why, 'exited', "seen to have gone, though it is nobody's child");
  await second.crash();
  const third = await bench.daemon(bench.spec()).ready();
  equal(third.facts('engine.adopted').length, 1);
  await third.stop(5_000);
  deepEqual(await pids(), []);
});

test('an engine of another spec is not adopted but swept', async () => {
  const first = await bench.daemon(bench.spec()).ready();
  const [old] = await pids();
  await first.crash();
  const second = await bench.daemon(bench.spec('--models=other')).ready();
  deepEqual(second.status().models, ['other']);
  ok(!(await pids()).includes(old!));
});

test('a ledger that lies is not believed: another process, no process, or no sense', async () => {
  const ledger = join(bench.dataDir, 'engine.json');
  await (await bench.daemon(bench.spec()).ready()).crash();
  type Entry = { readonly pid: number; readonly start: string; readonly digest: string };
  const lies: readonly ((truth: Entry) => string)[] = [
    (truth) => JSON.stringify({ ...truth, pid: process.pid }),
    (truth) => JSON.stringify({ ...truth, start: `${truth.start}1` }),
    (truth) => JSON.stringify({ ...truth, digest: 'other' }),
    () => '{"pid":',
    () => '',
  ];
  for (const lie of lies) {
    const told = lie(JSON.parse(readFileSync(ledger, 'utf8')) as Entry);
    writeFileSync(ledger, told);
    const daemon = await bench.daemon(bench.spec()).ready();
    deepEqual(daemon.facts('engine.adopted'), [], told);
    equal((await pids()).length, 1, 'the one that was there has been swept');
    await daemon.crash();
  }
});

test('a stale socket file is no obstacle', async () => {
  writeFileSync(bench.socket, '');
  const daemon = await bench.daemon(bench.spec()).ready();
  await daemon.stop(5_000);
});

test('the engine of another node is left alone, though it is started in the same way', async () => {
  const daemon = await bench.daemon(bench.spec()).ready();
  const other = new Bench();
  try {
    const neighbour = await other.daemon(other.spec()).ready();
    await daemon.stop(5_000);
    equal((await other.processes()).length, 1);
    equal((await neighbour.ask('/health')).status, 200);
  } finally {
    await other.clear();
  }
});

test('the log is bounded while the engine runs', async () => {
  const daemon = await bench.daemon(bench.spec()).ready();
  const log = join(bench.dataDir, 'engine.log');
  truncateSync(log, 17 * 1_024 * 1_024);
  await until(
    () => statSync(log).size < 1_024,
    () => 'emptied',
  );
  ok(statSync(`${log}.1`).size > 16 * 1_024 * 1_024);
  equal((await daemon.ask('/health')).status, 200);
});

test('what the gateway asks goes over the socket, and no port is opened', async () => {
  const daemon = await bench.daemon(bench.spec()).ready();
  equal((await daemon.ask('/v1/models')).status, 200);
  equal((await daemon.ask('/nothing')).status, 404);
  ok(statSync(bench.socket).isSocket());
});
