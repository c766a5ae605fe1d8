import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify, stripVTControlCharacters } from 'node:util';
import { runCli } from '../../src/cli/cli.ts';
import { changesBetween, membersScreen } from '../../src/cli/watch.ts';
import { openControl, type ControlServer } from '../../src/control/server.ts';
import type { MemberStatus } from '../../src/node/operations.ts';
import { fakeNode } from '../control/operations.ts';
import { memoryIo } from './io.ts';

const [first, other] = fakeNode().members() as [MemberStatus, MemberStatus];
const withHealth = (health: MemberStatus['health']): MemberStatus => ({ ...other, health });

/** A node whose members can be changed. */
async function node(
  t: TestContext,
): Promise<{ dataDir: string; server: ControlServer; show(members: readonly MemberStatus[]): void }> {
  const dataDir = await mkdtemp(join(tmpdir(), 'synkti-watch-'));
  let members: readonly MemberStatus[] = [first, other];
  const operations = { ...fakeNode(), members: () => members };
  const server = await openControl({ dataDir, operations, drainMs: 1_000, isolate: null });
  t.after(async () => {
    await server.close();
    await rm(dataDir, { recursive: true, force: true });
  });
  return { dataDir, server, show: (shown) => void (members = shown) };
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!(await holds())) {
    ok(performance.now() < deadline, `never: ${what}`);
    await pause(10);
  }
}

const noNode = (): Promise<number> => Promise.reject(new Error('no node is to be run here'));

test('a change of load or of the last word is none, one of health is, and so are coming and going', () => {
  const busier = { ...other, load: 9, heardMs: 1 };
  deepEqual(changesBetween([first, other], [first, busier]), []);
  const dead = withHealth('dead');
  deepEqual(changesBetween([first, other], [first, dead]), [{ change: 'changed', member: dead }]);
  deepEqual(changesBetween([first], [first, other]), [{ change: 'there', member: other }]);
  deepEqual(changesBetween([first, other], [first]), [{ change: 'gone', member: other }]);
});

test('the table fits the terminal, and those that are not well have room first', () => {
  const many = Array.from({ length: 100 }, (_, i): MemberStatus => ({
    ...other,
    id: `i-0123456789abcd${100 + i}`,
    zone: 'us-east-1a',
    health: i === 98 ? 'dead' : i === 99 ? 'suspect' : 'alive',
    heardMs: 123,
  }));
  const lines = stripVTControlCharacters(membersScreen(many, { columns: 80, rows: 24 })).split('\n');
  ok(lines.length < 24);
  ok(lines.every((line) => line.length <= 80));
  match(lines[0]!, /^MEMBER +ZONE +HEALTH +PHASE +ENGINE +LOAD +HEARD$/);
  match(lines[1]!, /^i-0123456789abcd198 +us-east-1a +dead +- +- +- +123 ms$/);
  match(lines[2]!, / suspect /);
  equal(lines.at(-1), '98 alive, 1 suspect, 1 dead, 80 not shown. Ctrl-C ends.');
});

test('on a terminal that has no size, or cannot go back, each change is a line', async (t) => {
  const { dataDir } = await node(t);
  const sizeless = memoryIo({}, { columns: 0, rows: 0 });
  const dumb = memoryIo({ TERM: 'dumb' }, { columns: 80, rows: 24 });
  const args = ['members', '--watch', '--data-dir', dataDir];
  const ends = [sizeless, dumb].map((io) => runCli(args, io, noNode));
  for (const io of [sizeless, dumb]) {
    await until('a line for each', () => io.stdout().split('\n').length === 3);
    match(
      io.stdout(),
      /^\d\d:\d\d:\d\d i-1 in [^\n]+\n\d\d:\d\d:\d\d i-2 in zone-b: alive, serving, engine ready\n$/,
    );
    io.send('SIGINT');
  }
  deepEqual(await Promise.all(ends), [0, 0]);
});

test('elsewhere than on a terminal each change is a line, and with --json an object', async (t) => {
  const { dataDir, show } = await node(t);
  const [text, json] = [memoryIo(), memoryIo()];
  const args = ['members', '--watch', '--data-dir', dataDir];
  const ends = [runCli(args, text, noNode), runCli([...args, '--json'], json, noNode)];
  const lines = (io: typeof text): readonly string[] => io.stdout().trimEnd().split('\n');
  await until('two lines each', () => [text, json].every((io) => lines(io).length === 2));
  show([first, withHealth('suspect')]);
  await until('three', () => [text, json].every((io) => lines(io).length === 3));
  show([first]);
  await until('four', () => [text, json].every((io) => lines(io).length === 4));
  for (const io of [text, json]) io.send('SIGINT');
  deepEqual(await Promise.all(ends), [0, 0]);
  match(lines(text)[2]!, /^\d\d:\d\d:\d\d i-2 in zone-b: suspect, serving, engine ready$/);
  match(lines(text)[3]!, /^\d\d:\d\d:\d\d i-2 in zone-b: gone$/);
  const told = lines(json).map((line) => JSON.parse(line) as { change: string; member: MemberStatus });
  deepEqual(
    told.map(({ change, member }) => [change, member.id, member.health]),
    [
      ['there', 'i-1', 'alive'],
      ['there', 'i-2', 'alive'],
      ['changed', 'i-2', 'suspect'],
      ['gone', 'i-2', 'suspect'],
    ],
  );
});

test('a node that ends while it is watched is one line and exit code 1', async (t) => {
  const { dataDir, server } = await node(t);
  const io = memoryIo();
  const ends = runCli(['members', '--watch', '--data-dir', dataDir], io, noNode);
  await until('it watches', () => io.stdout() !== '');
  await server.close();
  equal(await ends, 1);
  equal(io.stderr(), `synkti: no node runs behind ${dataDir}/control.sock\n`);
});

const skip = spawnSync('tmux', ['-V']).status !== 0 && 'no tmux on this machine';

test('on a terminal the table lives, and Ctrl-C leaves it in order', { skip }, async (t) => {
  const { dataDir, show } = await node(t);
  const tmux = async (...args: readonly string[]): Promise<string> =>
    (await promisify(execFile)('tmux', ['-S', join(dataDir, 'tmux'), ...args])).stdout;
  const main = join(import.meta.dirname, '../../src/main.ts');
  const watch = `${process.execPath} ${main} members --watch --data-dir ${dataDir}`;
  t.after(() => tmux('kill-server').catch(() => ''));
  await tmux('new-session', '-d', '-x', '80', '-y', '24', `trap : INT; ${watch}; echo "code $?"; sleep 60`);
  const screen = (): Promise<string> => tmux('capture-pane', '-p');
  await until('the table', async () =>
    /^i-2 +zone-b +alive +serving +ready +- +never$/m.test(await screen()),
  );
  match(await screen(), /^2 alive\. Ctrl-C ends\.$/m);
  show([first, withHealth('dead')]);
  await until('a change', async () => /^i-2 +zone-b +dead +/m.test(await screen()));
  equal((await screen()).match(/MEMBER/g)?.length, 1);
  await tmux('send-keys', 'C-c');
  await until('the end', async () => /code 0$/m.test(await screen()));
});
