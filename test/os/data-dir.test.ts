import { equal, rejects } from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { takeDataDir } from '../../src/os/data-dir.ts';

async function tempDir(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'synkti-data-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

test('a data directory is made for its owner alone', async (t) => {
  const dataDir = join(await tempDir(t), 'var', 'data');
  for (let i = 0; i < 2; i++) await takeDataDir(dataDir);
  equal((await stat(dataDir)).mode & 0o777, 0o700);
  const file = join(dataDir, 'file');
  await writeFile(file, '');
  await rejects(takeDataDir(file), {
    kind: 'invalid',
    message: `data directory ${file}: a file stands in the way: choose another`,
  });
});

test('a directory that others use is not taken from them, and one for a node is closed to them', async (t) => {
  const shared = join(await tempDir(t), 'shared');
  await mkdir(shared);
  await writeFile(join(shared, 'thesis.tex'), '');
  const refusal = {
    kind: 'denied',
    message: `data directory ${shared}: others use it: chmod 700 it, or choose another`,
  };
  const modeOf = async (): Promise<number> => (await stat(shared)).mode & 0o7777;
  await chmod(shared, 0o755);
  await rejects(takeDataDir(shared), refusal);
  equal(await modeOf(), 0o755);
  await rm(join(shared, 'thesis.tex'));
  await chmod(shared, 0o1777);
  await rejects(takeDataDir(shared), refusal);
  equal(await modeOf(), 0o1777);
  for (const [mode, file] of [
    [0o755, null],
    [0o775, 'identity.key'],
    [0o700, 'thesis.tex'],
  ] as const) {
    await chmod(shared, mode);
    if (file !== null) await writeFile(join(shared, file), '');
    await takeDataDir(shared);
    equal(await modeOf(), 0o700);
  }
});

test('a data directory that is not writable is named as such', async (t) => {
  const parent = join(await tempDir(t), 'closed');
  await mkdir(parent);
  await chmod(parent, 0o500);
  // Root may write everywhere, so root becomes nobody for a moment.
  const isRoot = process.getuid?.() === 0;
  await chmod(join(parent, '..'), 0o755);
  if (isRoot) process.seteuid?.(65_534);
  try {
    await rejects(takeDataDir(join(parent, 'data')), { kind: 'denied', message: /not writable/ });
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
});
