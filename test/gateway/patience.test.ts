/** What a client sent while this node stood still is answered, however long nothing was heard of it. */
import { match } from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerOptions } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { readBeforeClosing } from '../../src/gateway/patience.ts';
import { complainOnSocket } from '../../src/gateway/protocol-errors.ts';

const get = 'GET / HTTP/1.1\r\nhost: x\r\n\r\n';
const limitMs = 200;
const limits = { headersTimeout: limitMs, requestTimeout: limitMs, connectionsCheckingInterval: 20 };

/** A server that keeps nobody for long, and a client of it. */
async function rig(t: TestContext, options: ServerOptions) {
  const server = createServer(options, (request, response) => {
    request.resume().on('end', () => response.end('here'));
  });
  server.on('clientError', (error, socket) => complainOnSocket(error, socket as Socket, limitMs));
  readBeforeClosing(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  let heard = '';
  client.setEncoding('utf8').on('data', (part: string) => (heard += part));
  client.on('error', (error) => (heard += error.message));
  t.after(() => {
    client.destroy();
    server.closeAllConnections();
    server.close();
  });
  const [socket] = (await accepted) as [Socket];
  /** Sends it, and waits until it is read. */
  const say = async (text: string): Promise<void> => {
    const { bytesRead } = socket;
    client.write(text);
    while (socket.bytesRead === bytesRead) await new Promise(setImmediate);
  };
  return { client, say, heard: () => heard };
}

function standStill(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

test('a request on a kept connection', async (t) => {
  const { client, heard } = await rig(t, { keepAliveTimeout: limitMs, keepAliveTimeoutBuffer: 0 });
  client.write(get);
  await once(client, 'data');
  client.write(get);
  standStill(2 * limitMs);
  await once(client, 'data');
  client.write(get);
  await once(client, 'data');
  match(heard(), /^(HTTP[^]*? 200 OK[^]*?here){3}$/);
  await once(client, 'close');
});

test('a first request', async (t) => {
  const { client, heard } = await rig(t, limits);
  client.write(get);
  standStill(2 * limitMs);
  await once(client, 'data');
  client.write(get);
  await once(client, 'data');
  match(heard(), /^(HTTP[^]*? 200 OK[^]*?here){2}$/);
});

const post = `POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 8\r\n\r\n`;

for (const [part, begin, end] of [
  ['header', get.slice(0, 9), get.slice(9)],
  ['body', `${post}four`, 'more'],
] as const) {
  test(`the rest of a request of which the ${part} had begun to come`, async (t) => {
    const { client, say, heard } = await rig(t, limits);
    await say(begin);
    client.write(end);
    standStill(2 * limitMs);
    await once(client, 'data');
    client.write(get);
    await once(client, 'data');
    match(heard(), /^(HTTP[^]*? 200 OK[^]*?here){2}$/);
  });

  test(`who sends only some more of the ${part} is told that it took too long`, async (t) => {
    const { client, say, heard } = await rig(t, limits);
    await say(begin);
    client.write(end.slice(0, -1));
    standStill(2 * limitMs);
    await once(client, 'close');
    match(heard(), /^HTTP\/1.1 408 /);
  });
}

test('a connection that says nothing is closed all the same', async (t) => {
  const { client, heard } = await rig(t, limits);
  await once(client, 'close');
  match(heard(), /^$/);
});
