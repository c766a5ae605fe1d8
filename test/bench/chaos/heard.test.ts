import { equal, ok } from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { listen, nothingHeard } from './heard.ts';
import { clientOf } from './traffic.ts';

const word = `data: ${JSON.stringify({ choices: [{ index: 0, text: 'so', finish_reason: null }] })}\n\n`;

async function clientFor(t: TestContext, answer: RequestListener) {
  const server = createServer((request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    answer(request, response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return clientOf(`http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`);
}

const question = { endpoint: 'completions', body: { model: 'any', prompt: 'why' }, id: 'one' } as const;

test('the wait for the end of a stream is one of its waits', async (t) => {
  const client = await clientFor(t, (_, response) => void response.end(`${word}${word}data: [DONE]\n\n`));
  const heard = nothingHeard();
  await listen(client, { ...question, signal: t.signal }, heard);
  equal(heard.waits.length, 3);
});

test('the wait for a word that never came is one too', { timeout: 30_000 }, async (t) => {
  const client = await clientFor(t, (_, response) => void response.write(word));
  const giveUp = new AbortController();
  const heard = nothingHeard();
  const heardAll = listen(client, { ...question, signal: giveUp.signal }, heard);
  while (heard.waits.length === 0) await new Promise((resolve) => setImmediate(resolve));
  giveUp.abort();
  await Promise.allSettled([heardAll]);
  equal(heard.waits.length, 2);
  ok(heard.waits.every((ms) => ms >= 0));
});
