import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { appendFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import type { DevEvent } from '../../src/cli/dev/cluster.ts';
import { engineOf } from '../../src/cli/dev/engine.ts';
import { intro } from '../../src/cli/dev/intro.ts';
import { tailOf } from '../../src/cli/dev/log-tail.ts';
import type { Sample } from '../../src/cli/dev/sample.ts';
import type { DevNode } from '../../src/cli/dev/state.ts';
import { stopping } from '../../src/cli/dev/stopping.ts';
import { eventLine, linesOn, screen } from '../../src/cli/dev/view.ts';
import type { Fact } from '../../src/node/facts.ts';
import { fakeNode } from '../control/operations.ts';
import { memoryIo } from './io.ts';

const node = (number: number): DevNode => ({
  node: number,
  id: `i-${number}`,
  zone: 'us-east-1a',
  api: `http://127.0.0.1:${7_999 + number}`,
  dataDir: `/d/node-${number}`,
  control: `/d/node-${number}/control.sock`,
  pid: number,
  bootedAt: 0,
});

const samples = (now: number): readonly Sample[] => {
  const status = fakeNode().status();
  const draining = { phase: 'draining', reason: 'interruption', deadline: now + 95_200 } as const;
  return [
    { node: node(1), status, tokensPerSecond: 1234.5 },
    { node: node(2), status: { ...status, life: draining }, tokensPerSecond: null },
    { node: node(3), status: null, tokensPerSecond: null },
  ];
};

const drawn = (size: { columns: number; rows: number }, introLines: number): readonly string[] => {
  const now = 1_000_000;
  const events = Array.from({ length: 300 }, (_, at) => `event ${at} ${'x'.repeat(100)}`);
  return stripVTControlCharacters(screen(samples(now), events, { size, introLines, now })).split('\n');
};

test('the table shows each node in a row that fits 80 columns', () => {
  const lines = drawn({ columns: 80, rows: 24 }, 14);
  deepEqual(lines.slice(1, 5), [
    'NODE  ZONE        PHASE         ENGINE  RUN  WAIT  TOKENS/S  MEMBERS  MOVED',
    '1     us-east-1a  serving       ready   3    1     1235      3 (1?)   1',
    '2     us-east-1a  draining 96s  ready   3    1     -         3 (1?)   1',
    '3     us-east-1a  no answer     -       -    -     -         -        -',
  ]);
  ok(lines.every((line) => line.length <= 80));
});

test('the newest events fill what table and introduction leave, and never less than five lines', () => {
  const tall = drawn({ columns: 120, rows: 40 }, 14);
  equal(tall.length + 14, 40 - 1, 'everything is in sight, with the cursor below it');
  ok(tall.at(-2)!.startsWith('event 299 '));
  equal(drawn({ columns: 80, rows: 10 }, 14).filter((line) => line.startsWith('event')).length, 5);
});

test('a line of the introduction that the terminal breaks counts as the lines that it takes', () => {
  const text = ['a', '', 'b'.repeat(80), 'c'.repeat(81)].join('\n');
  deepEqual([linesOn(text, 80), linesOn(text, 81), linesOn(text, 40)], [5, 4, 7]);
});

test('an event names nodes by number, rounds times, and cannot move the cursor', () => {
  const numbers = new Map([['i-2', 2]]);
  const fact = {
    fact: 'member.died',
    level: 'warn',
    time: 0,
    member: 'i-2',
    afterMs: 12.75,
  } as unknown as Fact;
  const line = (event: DevEvent): string => eventLine(event, numbers).slice(9);
  equal(line({ node: 1, said: fact }), 'node 1  warn: member.died member=node-2 afterMs=13');
  equal(line({ node: null, said: 'a\u001b[2Jb' }), 'cloud   a?[2Jb');
});

test('the introduction says where the nodes are, with a call that works as it stands', () => {
  const text = intro({
    nodes: [node(1), node(2)],
    readyMs: 4_321,
    model: 'simulated',
    synkti: 'synkti',
    flags: ' --dir /d',
  });
  match(text, /^2 nodes are ready after 4\.3 s, .*\n {2}node 1 {2}http:\/\/127\.0\.0\.1:8000 .*\n {2}node 2/);
  const [, body = ''] = /-d '(.*)'/.exec(text) ?? [];
  equal((JSON.parse(body) as { model: string }).model, 'simulated');
  match(text, /synkti chaos kill 1 --only engine --dir \/d +answers go on elsewhere\n/);
  match(text, /synkti chaos interrupt 2 --notice 20s --dir \/d/);
});

test('of a single node the introduction promises no other that goes on', () => {
  const text = intro({ nodes: [node(1)], readyMs: 4_321, model: 'm', synkti: 'synkti', flags: '' });
  match(text, /^One node is ready after 4\.3 s, and it answers:\n/);
  equal(text.includes('--only engine'), false);
});

test('a log is followed line by line, and half a line waits for its end', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'synkti-tail-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const file = join(dir, 'node-1.log');
  const tail = tailOf(file);
  deepEqual(await tail.read(), []);
  await writeFile(file, 'one\ntw');
  deepEqual(await tail.read(), ['one']);
  await appendFile(file, 'o\n\nthree\n');
  deepEqual(await tail.read(), ['two', 'three']);
  await appendFile(file, `${'y'.repeat(70_000)}`);
  deepEqual(
    (await tail.read()).concat(await tail.read()).map((line) => line.length),
    [70_000],
  );
});

test('the first signal stops in good order, the second at once', async () => {
  const io = memoryIo();
  const stop = stopping(io);
  io.send('SIGINT');
  equal(stop.signal.aborted, true);
  let isForced = false;
  void stop.forced.then(() => (isForced = true));
  await new Promise(setImmediate);
  equal(isForced, false);
  io.send('SIGTERM');
  await stop.forced;
  stop.close();
});

test('the engine is the simulated one, one behind a URL, or the vLLM that was prepared on this machine', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'synkti-engine-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const flags = async (engine: Parameters<typeof engineOf>[0]['engine'], model?: string) =>
    (await engineOf({ engine, model }, { XDG_CACHE_HOME: dir })).flags.join(' ');
  equal(await flags('simulated'), '--engine simulated');
  equal(await flags({ url: 'http://h:1' }, 'm'), '--engine http://h:1 --model m');
  equal(await flags('vllm', '/models/m'), '--engine vllm --model /models/m');
  await flags('vllm').then(
    () => ok(false, 'there is no model'),
    (error: Error) => match(error.message, /^--engine vllm: no model: prepare one with npm run e2e:vllm/),
  );
  const prepared = { vllm: '/v/bin/vllm', model: '/m', args: ['--dtype=float32', '--x'], env: { A: 'b' } };
  await mkdir(join(dir, 'synkti'));
  await writeFile(join(dir, 'synkti', 'vllm.json'), JSON.stringify(prepared));
  equal(
    await flags('vllm'),
    '--engine vllm --engine-command /v/bin/vllm --model /m --engine-args --dtype=float32 --x',
  );
  deepEqual((await engineOf({ engine: 'vllm', model: undefined }, { XDG_CACHE_HOME: dir })).env, { A: 'b' });
});
