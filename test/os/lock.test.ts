import { deepEqual, equal, match, throws } from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { lockDirectory } from '../../src/os/lock.ts';

async function tempDir(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'synkti-lock-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

const holder = `
  import { lockDirectory } from ${JSON.stringify(join(import.meta.dirname, '../../src/os/lock.ts'))};
  process.stdin.once('data', () => {
    try {
      lockDirectory(process.argv[1]);
      console.log('held');
    } catch (error) {
      console.log(error.kind + ' ' + error.message);
    }
  });
  console.log('ready');
`;

/** A process that asks for the lock when it is told to, and lives until its input ends or it is killed. */
async function contender(t: TestContext, dir: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', holder, dir], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  equal(await said(child), 'ready');
  return child;
}

const said = async ({ stdout }: ChildProcess): Promise<string> => {
  const [chunk] = (await once(stdout!, 'data')) as [Buffer];
  return chunk.toString().trim();
};

test('of processes that ask at one instant one has the lock, and the others learn which', async (t) => {
  const dir = await tempDir(t);
  const asking = await Promise.all(Array.from({ length: 4 }, () => contender(t, dir)));
  const answers = asking.map(said);
  for (const { stdin } of asking) stdin!.write('go\n');
  const told = await Promise.all(answers);
  const winner = asking[told.indexOf('held')];
  const who =
    process.platform === 'linux' ? `process ${winner?.pid} already runs a node` : 'a node already runs';
  deepEqual(told.toSorted(), [...Array<string>(3).fill(`busy data directory ${dir}: ${who} here`), 'held']);
});

test('the lock of a process that was killed is there for the next one, and nothing has to be cleared away', async (t) => {
  const dir = await tempDir(t);
  const first = await contender(t, dir);
  first.stdin!.write('go\n');
  equal(await said(first), 'held');
  throws(() => lockDirectory(dir), { kind: 'busy' });
  first.kill('SIGKILL');
  await once(first, 'exit');
  const lock = lockDirectory(dir);
  deepEqual(await readdir(dir), ['lock']);
  equal((await stat(join(dir, 'lock'))).size, 0);
  throws(() => lockDirectory(dir), { kind: 'busy' });
  lock.release();
  lockDirectory(dir).release();
});

test('a directory in which nothing can be locked is named, with the reason', async (t) => {
  const dir = join(await tempDir(t), 'nowhere');
  throws(
    () => lockDirectory(dir),
    (error: Error & { kind: string }) => {
      equal(error.kind, 'denied');
      match(error.message, /nowhere: lock: unable to open database file$/);
      return true;
    },
  );
});
