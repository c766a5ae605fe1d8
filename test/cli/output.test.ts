/** Commands whose output goes nowhere: to a reader that has gone, or to a full disk, which `/dev/full` is. */
import { deepEqual, equal } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openControl } from '../../src/control/server.ts';
import { fakeNode } from '../control/operations.ts';

const main = join(import.meta.dirname, '../../src/main.ts');

test(
  'what goes on until it is told to end ends when nobody reads it any more',
  { timeout: 60_000 },
  async (t) => {
    const dataDir = await mkdtemp(join(tmpdir(), 'synkti-output-'));
    const node = fakeNode();
    let zone = 0;
    // Each time that somebody asks another member has moved, so that there is always something to tell.
    const members = () => node.members().map((member) => ({ ...member, zone: `zone-${zone++}` }));
    const operations = { ...node, members };
    const server = await openControl({ dataDir, operations, drainMs: 1_000, isolate: null });
    const child = spawn(process.execPath, [main, 'members', '--watch', '--data-dir', dataDir], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    t.after(async () => {
      child.kill('SIGKILL');
      await server.close();
      await rm(dataDir, { recursive: true, force: true });
    });
    let talk = '';
    child.stderr.on('data', (chunk: Buffer) => (talk += chunk.toString()));
    await once(child.stdout, 'data');
    child.stdout.destroy();
    deepEqual(await once(child, 'exit'), [0, null]);
    equal(talk, '');
  },
);

test(
  'a command that cannot write what it has to say is one line and exit code 1',
  { skip: !existsSync('/dev/full') },
  async () => {
    const disk = openSync('/dev/full', 'w');
    const child = spawn(process.execPath, [main, 'version'], { stdio: ['ignore', disk, 'pipe'] });
    closeSync(disk);
    let talk = '';
    child.stderr!.on('data', (chunk: Buffer) => (talk += chunk.toString()));
    deepEqual(await once(child, 'close'), [1, null]);
    equal(talk, 'synkti: output: not written (ENOSPC)\n');
  },
);
