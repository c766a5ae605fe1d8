/** Connections on which nothing is asked. */
import { deepEqual, equal } from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { connect as connectSecurely } from 'node:tls';
import { makeCertificate } from './certificate.ts';
import type { Certificate } from '../../src/gateway/server.ts';
import { FakeCluster, until } from './fake-cluster.ts';
import { fastClock } from './fast-clock.ts';

/** Of sixteen places two are kept free. */
const connectionsMax = 16;

async function rig(tls: Certificate | null = null) {
  const { clock, skip } = fastClock();
  const cluster = await FakeCluster.of(1, { connectionsMax, clock, tls });
  const { gateway, engine } = cluster.get(0);
  const all: Socket[] = [];
  /** Its request, if any, is on its way when this resolves. */
  async function open(request = ''): Promise<Socket> {
    const to = { port: gateway.port, host: '127.0.0.1' };
    const socket = tls === null ? connect(to) : connectSecurely({ ...to, ca: tls.cert });
    socket.on('error', () => {}).resume();
    await once(socket, tls === null ? 'connect' : 'secureConnect');
    socket.write(request);
    all.push(socket);
    return socket;
  }
  const close = async (): Promise<void> => {
    for (const socket of all) socket.destroy();
    await cluster[Symbol.asyncDispose]();
  };
  /** Which of them are closed, by the order in which they came. */
  const closed = (): readonly number[] => all.flatMap((socket, at) => (socket.closed ? [at] : []));
  return { engine, open, skip, closed, [Symbol.asyncDispose]: close };
}

const get = 'GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n';
const body = JSON.stringify({ model: 'tiny', input: 'a' });
const embed =
  'POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n' +
  `content-length: ${body.length}\r\n\r\n${body}`;

test('[A12] when places get short each connection that comes closes the one that is idle for longest', async () => {
  await using rigged = await rig();
  const { open, skip, closed } = rigged;
  const first = await open(get);
  await once(first, 'data');
  for (let i = 1; i < 14; i++) await open();
  // The first one asks again, and is idle for less time than the others.
  skip(500);
  first.write(get);
  await once(first, 'data');
  skip(5_000);
  deepEqual(closed(), []);
  for (let i = 0; i < 13; i++) {
    await open();
    await until(() => closed().length === i + 1, `${i + 1} are closed`);
    equal(closed().at(-1), i + 1);
  }
  await open();
  await until(() => first.closed, 'the first is the last');
});

test('[A12] a request that lies unread while another connection comes is answered', async () => {
  await using rigged = await rig();
  const { open, skip, closed } = rigged;
  const first = await open();
  for (let i = 1; i < 14; i++) await open();
  skip(5_000);
  const late = open();
  // Its connection is on its way when this is called.
  process.nextTick(() => first.write(get));
  await once(first, 'data');
  await late;
  deepEqual(closed(), []);
});

for (const wire of ['TCP', 'TLS'])
  test(`[A12] what is asked goes on, and who has just come may ask, by ${wire}`, async () => {
    await using rigged = await rig(wire === 'TLS' ? await makeCertificate() : null);
    const { engine, open, skip, closed } = rigged;
    engine.paceMs = 60_000;
    for (let i = 0; i < 13; i++) await open(embed);
    await until(() => engine.running === 13, 'all are asked');
    skip(5_000);
    await open();
    const late = await open();
    for (let i = 0; i < 2; i++) {
      late.write(get);
      await once(late, 'data');
    }
    deepEqual(closed(), []);
    skip(5_000);
    await open();
    await until(() => closed().length > 0, 'one is closed');
    deepEqual([closed(), engine.running], [[13], 13]);
  });
