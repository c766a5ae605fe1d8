import { deepEqual, equal, match } from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, rename } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { writeDevState } from '../../src/cli/dev/state.ts';
import { lockDirectory } from '../../src/os/lock.ts';
import { synkti, type MemoryIo } from './io.ts';
import { devCluster, nodeIn, tempDir } from './nodes.ts';

test('a node is found by data directory, by number or instance id in dev, or by being the only one', async (t) => {
  const { dir } = await devCluster(t);
  const idOf = async (args: readonly string[], env?: MemoryIo['env']): Promise<string> => {
    const { out, err } = await synkti(['status', '--json', ...args], env === undefined ? {} : { env });
    return err === '' ? (JSON.parse(out) as { id: string }).id : err;
  };
  equal(await idOf(['--dir', dir, '--node', '2']), 'i-2');
  equal(await idOf(['--dir', dir, '--node', 'i-2']), 'i-2');
  equal(await idOf(['--dir', dir]), 'i-1');
  equal(await idOf(['--data-dir', join(dir, 'node-2')]), 'i-2');
  equal(await idOf([], { SYNKTI_DATA_DIR: join(dir, 'node-2') }), 'i-2');
  equal(
    await idOf(['--dir', dir, '--node', '7']),
    'synkti: node 7: no such node, the development cluster has 1, 2\n',
  );
  const elsewhere = await tempDir(t);
  const usualDev = join(elsewhere, '.local', 'state', 'synkti', 'dev');
  equal(
    await idOf(['--dir', elsewhere]),
    `synkti: no development cluster runs in ${elsewhere}: start one with synkti dev\n`,
  );
  equal(
    await idOf([], { SYNKTI_DATA_DIR: elsewhere, HOME: elsewhere }),
    `synkti: no node runs in ${elsewhere}, and no development cluster in ${usualDev}: start one by synkti run or synkti dev\n`,
  );
  // The usual place of a development cluster, when no node runs on this machine otherwise.
  await mkdir(join(elsewhere, 'synkti'), { recursive: true });
  const { dir: usual } = await devCluster(t);
  await promisify(execFile)('cp', ['-r', usual, join(elsewhere, 'synkti', 'dev')]);
  equal(await idOf([], { SYNKTI_DATA_DIR: elsewhere, XDG_STATE_HOME: elsewhere }), 'i-1');
});

test(
  'a node that has its data directory and cannot be asked yet is starting',
  { skip: process.platform !== 'linux' },
  async (t) => {
    const dir = await tempDir(t);
    const lock = lockDirectory(dir);
    const starting = `synkti: the node in ${dir} (process ${process.pid}) is starting, or about to end\n`;
    deepEqual(await synkti(['status', '--data-dir', dir]), { code: 1, out: '', err: starting });
    equal((await synkti(['members'], { env: { SYNKTI_DATA_DIR: dir, HOME: dir } })).err, starting);
    // The socket of one that was killed.
    const killed = createServer().listen(join(dir, 'other.sock'));
    await once(killed, 'listening');
    await rename(join(dir, 'other.sock'), join(dir, 'control.sock'));
    await new Promise((resolve) => killed.close(resolve));
    equal((await synkti(['status', '--data-dir', dir])).err, starting);
    await nodeIn(t, dir, 'i-1');
    match((await synkti(['status', '--data-dir', dir])).out, /i-1/);
    lock.release();
    const gone = await tempDir(t);
    lockDirectory(gone).release();
    match((await synkti(['status', '--data-dir', gone])).err, /^synkti: no node runs behind /);
  },
);

test('whoever names no node is answered by the one that has run for longest, not by a replacement that knows nobody', async (t) => {
  for (const [bootedAt, id] of [
    [[1_000, 2_000], 'i-1'],
    [[3_000, 2_000], 'i-2'],
  ] as const) {
    const { dir } = await devCluster(t, bootedAt);
    const { out } = await synkti(['status', '--json', '--dir', dir]);
    equal((JSON.parse(out) as { id: string }).id, id);
  }
});

test('a state file of a process that is gone, or of a later one with its pid, names no cluster', async (t) => {
  const dir = await tempDir(t);
  await writeDevState(dir, { pid: process.pid, start: 'earlier', cloud: '', nodes: [] });
  match((await synkti(['chaos', 'kill', '1', '--dir', dir])).err, /no development cluster runs in/);
});
