/** A node whose log has nowhere to go: `/dev/full` refuses every write as a full disk does. */
import { deepEqual, equal } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { freePort } from '../../src/cli/dev/ports.ts';
import { listingOf, makeMachine, startMs } from '../roster/processes.ts';

const main = join(import.meta.dirname, '../../src/main.ts');
const full = '/dev/full';

test(
  'a node lives on, answers and leaves in good order while its log cannot be written',
  { skip: !existsSync(full) },
  async (t) => {
    const machine = await makeMachine('alone');
    const { name, p2pPort, dataDir } = machine;
    const [apiPort, peerPort] = [await freePort(), await freePort()];
    const itself = ['--node-id', name, '--host', '127.0.0.1', '--data-dir', dataDir, '--role', 'edge'];
    const ports = ['--p2p-port', `${p2pPort}`, '--peer-port', `${peerPort}`, '--api-port', `${apiPort}`];
    const peers = ['--peers', listingOf(machine), '--api-host', '127.0.0.1'];
    // Every request is a line of the log.
    const log = ['--log-level', 'debug', '--log-format', 'json'];
    const disk = openSync(full, 'w');
    const child = spawn(process.execPath, [main, 'run', ...itself, ...ports, ...peers, ...log], {
      stdio: ['ignore', disk, disk],
      env: { PATH: process.env['PATH'] },
    });
    closeSync(disk);
    t.after(async () => {
      child.kill('SIGKILL');
      await rm(dataDir, { recursive: true, force: true });
    });
    const gone = once(child, 'exit');
    const health = async (): Promise<number | null> =>
      fetch(`http://127.0.0.1:${apiPort}/healthz`).then(
        ({ status }) => status,
        () => null,
      );
    const end = performance.now() + startMs;
    while ((await health()) !== 200) {
      deepEqual([child.exitCode, performance.now() < end], [null, true], 'it starts');
      await wait(20);
    }
    for (let i = 0; i < 5; i++) equal(await health(), 200);
    child.kill('SIGTERM');
    deepEqual(await gone, [0, null]);
  },
);
