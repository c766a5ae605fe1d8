import { deepEqual, equal, ok } from 'node:assert/strict';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Fact } from '../../src/node/facts.ts';
import type { Remembered } from '../../src/node/ports.ts';
import { openMemory, recall } from '../../src/os/memory.ts';
import { wallTime } from '../../src/std/time.ts';
import { entry } from '../discovery/subject.ts';
import { until } from '../conformance/until.ts';

const home = await mkdtemp(join(tmpdir(), 'synkti-memory-'));
after(() => rm(home, { recursive: true }));

const place = (name: string) => ({ path: join(home, name), of: 'demo i-self' });
const remembered = (...ids: string[]): Remembered => ({
  asOf: wallTime(1_790_000_000_000),
  members: ids.map((id) => entry(id)),
});
const patienceMs = 30_000;
const silent = (): void => {};

test('what one life keeps the next one recalls, the newest, and only its owner may read it', async () => {
  const at = place('kept.json');
  const memory = openMemory(at, silent);
  for (const ids of [['b'], ['b', 'c'], ['b', 'c', 'd']]) memory.keep(remembered(...ids));
  ok(await until(async () => (await recall(at))?.members.length === 3, patienceMs), 'the last is written');
  deepEqual(await recall(at), remembered('b', 'c', 'd'));
  equal((await stat(at.path)).mode & 0o777, 0o600);
});

test('who said goodbye leaves nothing to recall', async () => {
  const at = place('erased.json');
  const memory = openMemory(at, silent);
  memory.keep(remembered('b'));
  memory.erase();
  ok(await until(async () => !(await readdir(home)).includes('erased.json'), patienceMs), 'it is erased');
  equal(await recall(at), null);
});

test('nothing is recalled of another instance, key or cluster, nor of what cannot be read', async () => {
  const at = place('broken.json');
  equal(await recall(at), null);
  openMemory(at, silent).keep(remembered('b'));
  ok(await until(async () => (await recall(at)) !== null, patienceMs), 'it is written');
  equal(await recall({ ...at, of: 'demo i-other' }), null);
  const text = JSON.stringify({ of: at.of, asOf: 1, members: [] });
  for (const torn of [
    '',
    '{',
    'null',
    text.slice(0, -1),
    text.replace('[]', '7'),
    text.replace('1', '"1"'),
  ]) {
    await writeFile(at.path, torn);
    equal(await recall(at), null, torn);
  }
  await rm(at.path);
  equal(await recall({ ...at, path: home }), null, 'a folder');
});

test('a member that cannot be read keeps nobody from the others', async () => {
  const at = place('odd.json');
  const members = [entry('b'), { id: 7 }, { ...entry('c'), address: null }, entry('d')];
  await writeFile(at.path, JSON.stringify({ of: at.of, asOf: 1, members }));
  deepEqual(
    (await recall(at))?.members.map(({ id }) => id),
    ['b', 'd'],
  );
});

test('a disk that takes nothing is a fact, and no failure', async () => {
  const facts: Fact[] = [];
  const memory = openMemory({ path: join(home, 'nowhere', 'members.json'), of: 'x' }, (fact) =>
    facts.push(fact),
  );
  memory.keep(remembered('b'));
  ok(await until(() => facts.length > 0, patienceMs), 'it is told');
  equal(facts[0]?.fact, 'memory.failed');
});
