import { deepEqual, match } from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { synkti } from './io.ts';

test('a node that does not answer is not waited for as long as a drain may take', async (t) => {
  const dataDir = await mkdtemp(join(tmpdir(), 'synkti-leave-'));
  t.after(() => rm(dataDir, { recursive: true, force: true }));
  const asked: string[] = [];
  const node = createServer((request) => {
    asked.push(`${request.method} ${request.url}`);
    request.socket.destroy();
  }).listen(join(dataDir, 'control.sock'));
  await once(node, 'listening');
  t.after(() => node.close());
  const { code, out, err } = await synkti(['leave', '--data-dir', dataDir]);
  deepEqual([code, out, asked], [1, '', ['GET /status']]);
  match(err, /control\.sock: the node closed the connection\n$/);
});
