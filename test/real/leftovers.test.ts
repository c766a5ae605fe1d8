import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { until } from '../conformance/until.ts';
import { familyOf, leftBehind, sharedMemoryFiles } from './leftovers.ts';

const skip = process.platform === 'linux' ? false : '/proc is Linux';

void test('a family is all that descends, and what of it still lives is left behind', { skip }, async () => {
  // Grandchildren, as vLLM's workers are.
  const child = spawn('/bin/sh', ['-c', 'sleep 60 & sleep 61 & wait'], { stdio: 'ignore' });
  const exited = once(child, 'exit');
  await until(async () => (await familyOf(child.pid!)).length === 2, 5_000);
  const family = await familyOf(process.pid);
  const files = await sharedMemoryFiles();
  const sleepers = (await familyOf(child.pid!)).map(({ pid }) => pid);
  assert.ok(sleepers.every((pid) => family.some((one) => one.pid === pid)));

  child.kill('SIGKILL');
  await exited;
  const left = await leftBehind(family, files);
  assert.deepEqual(
    left.filter((line) => /sleep 6[01]/.test(line)).map((line) => Number(line.split(' ')[1])),
    sleepers,
  );
  for (const pid of sleepers) process.kill(pid, 'SIGKILL');
  const processesLeft = async (): Promise<boolean> =>
    (await leftBehind(family, files)).some((line) => line.startsWith('process'));
  assert.ok(await until(async () => !(await processesLeft()), 5_000));
});

void test('a new shared memory file that nobody maps is left behind', { skip }, async () => {
  const before = await sharedMemoryFiles();
  const file = `/dev/shm/synkti-test-${process.pid}`;
  await writeFile(file, '');
  try {
    assert.ok((await leftBehind([], before)).includes(file));
    assert.ok(!(await leftBehind([], await sharedMemoryFiles())).includes(file));
  } finally {
    await rm(file);
  }
});
