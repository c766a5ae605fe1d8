import { equal } from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { Client } from 'undici';
import { askBy } from '../../src/gateway/journal.ts';
import { memberId } from '../../src/std/member-id.ts';

const withinMs = 100;

/** What is heard of a member that answers a question in this way. */
async function answerOf(t: TestContext, answer: (response: ServerResponse) => void): Promise<string | null> {
  const server = createServer((request, response) => request.resume().on('end', () => answer(response)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = new Client(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  t.after(async () => {
    await client.destroy();
    server.closeAllConnections();
    server.close();
  });
  const ask = askBy(() => client);
  return await new Promise((resolve) =>
    ask(memberId('other'), Buffer.from('have you got it?'), withinMs, (told) =>
      resolve(told === null ? null : Buffer.from(told).toString()),
    ),
  );
}

function standStill(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

test('an answer that came while this node stood still is heard, however late that is', async (t) => {
  const told = await answerOf(t, (response) => {
    response.end('here it is');
    standStill(3 * withinMs);
  });
  equal(told, 'here it is');
});

test('a member that does not answer in time has nothing', async (t) => {
  equal(await answerOf(t, () => {}), null);
});
