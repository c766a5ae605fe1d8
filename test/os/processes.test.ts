import { deepEqual, equal, match, notEqual, ok, rejects } from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { markedFromPs, startFromPs } from '../../src/os/ps.ts';
import { processes } from '../../src/os/processes.ts';
import { Failure } from '../../src/std/failure.ts';

/** macOS tells less of its processes. */
const onLinux = { skip: process.platform !== 'linux' };
const folder = await mkdtemp(join(tmpdir(), 'synkti-processes-'));
const environment = { SYNKTI_TEST_MARK: randomUUID() };
const mark = { environment, output: join(folder, 'output') };
after(async () => {
  await endAll();
  await rm(folder, { recursive: true });
});

/** Runs a script of Node.js under the mark; what it prints is in `printed()`. */
async function run(script: string, env: Record<string, string> = {}) {
  const output = join(folder, `output-${randomUUID()}`);
  const order = { command: process.execPath, args: ['-e', script], env: { ...environment, ...env }, output };
  const child = await processes.launch(order);
  return { ...child, printed: () => readFileSync(output, 'utf8') };
}

async function endAll(): Promise<void> {
  for (const target of await processes.marked(mark)) processes.signal(target, 'SIGKILL');
  await until(async () => (await processes.marked(mark)).length === 0, 'all are gone');
}

async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = Date.now() + 30_000;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`not within 30 s: ${what}`);
    await wait(5);
  }
}

const forever = 'setInterval(() => {}, 1000); console.log("up");';

test('a process is known by its pid and its start, until it has gone', async () => {
  const child = await run(forever);
  equal(processes.startOf(child.pid), child.start);
  equal(processes.startOf(process.pid), processes.startOf(process.pid));
  notEqual(processes.startOf(process.pid), child.start);
  ok(processes.signal(child, 'SIGTERM'));
  deepEqual(await child.exited, { code: null, signal: 'SIGTERM' });
  equal(processes.startOf(child.pid), null);
});

test('the exit code is told, and both outputs are in the file', async () => {
  const child = await run('console.log("out"); console.error("err"); process.exitCode = 3;');
  deepEqual(await child.exited, { code: 3, signal: null });
  equal(child.printed(), 'out\nerr\n');
});

test('a process leads a group of its own, which no Ctrl-C of a terminal reaches', onLinux, async () => {
  const child = await run(forever);
  const [, , group, session] = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  deepEqual([group, session], [`${child.pid}`, `${child.pid}`]);
  await endAll();
});

const childOf = (options: string): string =>
  `require('child_process').spawn(process.execPath, ['-e', '${forever}'], ${options}).unref();`;

test('a grandchild that left the group and lost its parent still carries the mark', async () => {
  const child = await run(childOf("{ detached: true, stdio: 'ignore' }"));
  await child.exited;
  equal((await processes.marked(mark)).length, 1);
  await endAll();
});

test(
  'where the environment is gone, as under the title of an engine core, the output is the mark',
  onLinux,
  async () => {
    const child = await run(`${childOf("{ env: {}, stdio: 'inherit' }")} ${forever}`);
    await until(async () => (await processes.marked(mark)).length === 2, 'both are found');
    equal((await processes.marked({ ...mark, output: '/elsewhere' })).length, 1);
    processes.signal(child, 'SIGKILL');
    await child.exited;
    const [orphan] = await processes.marked(mark);
    match(orphan?.command ?? '', /setInterval/);
    await endAll();
  },
);

test('who prints to the file but has an environment of its own is somebody else', async () => {
  const child = await run(forever);
  equal((await processes.marked({ ...mark, environment: { SYNKTI_TEST_MARK: 'another' } })).length, 0);
  processes.signal(child, 'SIGKILL');
  await child.exited;
});

test('only the whole environment counts: one variable of two, or a longer value, is somebody else', async () => {
  const child = await run(forever, { SYNKTI_TEST_OTHER: 'one' });
  const found = async (more: Record<string, string>) =>
    (await processes.marked({ ...mark, environment: { ...environment, ...more } })).length;
  equal(await found({ SYNKTI_TEST_OTHER: 'one' }), 1);
  equal(await found({ SYNKTI_TEST_OTHER: 'on' }), 0);
  equal(await found({ SYNKTI_TEST_ANOTHER: '' }), 0);
  processes.signal(child, 'SIGKILL');
  await child.exited;
});

test('a signal never reaches a later process with the same pid', async () => {
  const child = await run(forever);
  const impostor = { pid: child.pid, start: '1' };
  equal(processes.signal(impostor, 'SIGKILL'), false);
  equal(processes.startOf(child.pid), child.start);
  processes.signal(child, 'SIGKILL');
  await child.exited;
  equal(processes.signal(child, 'SIGKILL'), false);
});

test('a program that is not there, or is none, is a failure that says which', async () => {
  const order = { args: [], env: {}, output: join(folder, 'none') };
  const is = (kind: string) => (error: unknown) => error instanceof Failure && error.kind === kind;
  await rejects(processes.launch({ ...order, command: join(folder, 'nothing') }), is('missing'));
  await rejects(processes.launch({ ...order, command: folder }), is('denied'));
});

test('the output of ps is read as macOS prints it', () => {
  equal(startFromPs('S    Sat Nov 21 10:00:00 2026    \n'), 'Sat Nov 21 10:00:00 2026');
  equal(startFromPs('Z    Sat Nov 21 10:00:00 2026\n'), null);
  equal(startFromPs(''), null);
  const shown =
    '  501 /usr/bin/a -x MARK=one HOME=/x\n 502 /usr/bin/b MARK=ones\n503 /usr/bin/c HOME=/x MARK=one\n';
  const pids = (environment: Record<string, string>) =>
    markedFromPs(shown, environment).map(({ pid }) => pid);
  deepEqual(pids({ MARK: 'one' }), [501, 503]);
  deepEqual(pids({ MARK: 'one', HOME: '/x' }), [501, 503]);
  match(markedFromPs(shown, { MARK: 'one' })[0]!.command, /^\/usr\/bin\/a -x/);
});
