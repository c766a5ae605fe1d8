import { equal, rejects } from 'node:assert/strict';
import { mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeDirectory } from '../../src/os/directory.ts';

test('a directory is made with those above it, for its owner alone, and made again without harm', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'synkti-directory-'));
  t.after(() => rm(root, { recursive: true }));
  const path = join(root, 'a', 'b', 'c');
  for (let i = 0; i < 2; i++) {
    await makeDirectory(path);
    equal((await stat(path)).mode & 0o777, 0o700);
  }
});

test('what stands in the way is said at once', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'synkti-directory-'));
  t.after(() => rm(root, { recursive: true }));
  await writeFile(join(root, 'file'), '');
  await symlink(join(root, 'nowhere'), join(root, 'dangling'));
  await rejects(makeDirectory(join(root, 'file')), { code: 'EEXIST' });
  await rejects(makeDirectory(join(root, 'file', 'below')), { code: 'ENOTDIR' });
  await rejects(makeDirectory(join(root, 'dangling')), { code: 'EEXIST' });
});

test(
  'a file system that makes no directories ends it, however deep the path',
  { skip: process.platform === 'linux' ? false : 'no /proc here', timeout: 5_000 },
  async () => {
    await rejects(makeDirectory('/proc/synkti'), { code: 'ENOENT' });
    await rejects(makeDirectory('/proc/synkti/a/b'), { code: 'ENOENT' });
  },
);
