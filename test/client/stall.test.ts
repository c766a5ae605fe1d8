/** Who stands still itself takes nobody for dead by that. */
import { equal } from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { Life } from '../../src/client/life.ts';

const lookMs = 100;

function standStill(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

/** Whether a node that is asked for its health three times, and answers in this way, is taken for alive. */
async function isAlive(t: TestContext, answer: (response: ServerResponse) => void): Promise<boolean> {
  const server = createServer((_, response) => answer(response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const life = new Life(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const told = Promise.withResolvers<boolean>();
  let asked = 0;
  server.on('request', () => ++asked === 3 && told.resolve(true));
  const stop = life.watch({ fetch, lookMs }, () => told.resolve(false));
  const alive = await told.promise;
  stop();
  return alive;
}

test('a node whose answer came while the caller stood still is alive', async (t) => {
  const answer = (response: ServerResponse): void => {
    response.end();
    standStill(3 * lookMs);
  };
  equal(await isAlive(t, answer), true);
});

test('a node that does not answer is not', async (t) => {
  equal(await isAlive(t, () => {}), false);
});
