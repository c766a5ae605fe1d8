import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { processes } from '../../src/os/processes.ts';
import { makeOnce } from './cache.ts';

let root: string;
let dir: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'synkti-cache-'));
  dir = join(root, 'thing');
});
afterEach(() => rm(root, { recursive: true, force: true }));

const signal = (): AbortSignal => AbortSignal.timeout(60_000);
const fill = (text: string) => (): Promise<void> => writeFile(join(dir, 'content'), text);
const content = (): Promise<string> => readFile(join(dir, 'content'), 'utf8');
/** A pid that was given away and is free again. */
const deadPid = (): number => spawnSync(process.execPath, ['-e', '']).pid;

void test('what is finished is found and not made again', async () => {
  assert.equal(await makeOnce(dir, signal(), fill('first')), 'made');
  assert.equal(await makeOnce(dir, signal(), fill('second')), 'found');
  assert.equal(await content(), 'first');
});

void test('what was left half-finished is made anew, without what was there', async () => {
  await mkdir(dir);
  await writeFile(join(dir, 'half'), '');
  assert.equal(await makeOnce(dir, signal(), fill('whole')), 'made');
  assert.ok(!(await readdir(dir)).includes('half'));
});

void test('what could not be made is not taken for finished', async () => {
  const broken = makeOnce(dir, signal(), () => Promise.reject(new Error('no room')));
  await assert.rejects(broken, /no room/);
  assert.equal(await makeOnce(dir, signal(), fill('whole')), 'made');
});

void test('of two at once the second waits and finds what the first made', async () => {
  const [first, second] = await Promise.all([
    makeOnce(dir, signal(), fill('first')),
    makeOnce(dir, signal(), fill('second')),
  ]);
  assert.deepEqual([first, second].sort(), ['found', 'made']);
});

void test('a lock whose holder is gone holds nobody up, whoever has its pid now', async () => {
  for (const gone of [`${deadPid()} 1`, `${process.pid} 1`, '']) {
    await writeFile(`${dir}.lock`, gone);
    assert.equal(await makeOnce(dir, signal(), fill('whole')), 'made');
    assert.deepEqual(await readdir(root), ['thing']);
    await rm(dir, { recursive: true });
  }
});

void test('who waits for a lock can be told to stop', async () => {
  await writeFile(`${dir}.lock`, `${process.pid} ${processes.startOf(process.pid)}`);
  await assert.rejects(makeOnce(dir, AbortSignal.timeout(50), fill('never')));
});
