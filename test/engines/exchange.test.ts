/** What the supervision makes of how an engine's server behaves while it ends. */
import { equal } from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { connectionTo } from '../../src/engines/connection.ts';
import { healthOf } from '../../src/engines/exchange.ts';

/** Breaks the first connections off by which its health is asked, so many, and then says that it is dead. */
function breaking(times: number, onBreak: (server: Server) => void): Server {
  let broken = 0;
  const server = createServer((request, response) => {
    if (++broken > times) return void response.writeHead(503).end();
    onBreak(server);
    request.socket.destroy();
  });
  return server;
}

async function healthAt(server: Server): Promise<string> {
  await using dir = await mkdtempDisposable(join(tmpdir(), 'synkti-exchange-'));
  const socket = join(dir.path, 's');
  await once(server.listen(socket), 'listening');
  const connection = connectionTo('http://localhost', socket);
  try {
    return await healthOf(connection.questions, new AbortController().signal);
  } finally {
    await connection.close();
    server.close();
  }
}

test('[E14] a server that listens no more and breaks the question off is gone', async () => {
  equal(await healthAt(breaking(1, (server) => server.close())), 'gone');
});

test('[E14] whose connection broke is asked by another one, once', async () => {
  equal(await healthAt(breaking(1, () => {})), 'sick');
  equal(await healthAt(breaking(Infinity, () => {})), 'unknown');
});
