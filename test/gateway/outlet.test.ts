import { deepEqual, equal } from 'node:assert/strict';
import { createServer, type ServerResponse } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { test } from 'node:test';
import { openOutlet } from '../../src/gateway/outlet.ts';
import { until } from './fake-cluster.ts';

/** One response on a real connection whose client reads nothing until it is told to. */
async function unread(t: {
  after(end: () => void): void;
}): Promise<{ response: ServerResponse; client: Socket }> {
  const responses: ServerResponse[] = [];
  const server = createServer((_, response) => responses.push(response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  client.on('error', () => client.destroy());
  client.pause();
  client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  t.after(() => {
    client.destroy();
    server.close();
    server.closeAllConnections();
  });
  await until(() => responses.length === 1, 'the request is there');
  return { response: responses[0]!, client };
}

test('an answer of which nothing moves for a minute is cut', async (t) => {
  const { response } = await unread(t);
  const cuts: string[] = [];
  const outlet = openOutlet(response, (why) => cuts.push(why));
  response.end(Buffer.alloc(32 * 1_024 ** 2));
  await until(() => response.writableLength > 0, 'some of it waits');
  for (const second of [0, 5, 30, 60]) outlet.look(second * 1_000);
  deepEqual(cuts, []);
  outlet.look(61_000);
  deepEqual(cuts, ['stuck']);
  equal(response.destroyed, true);
});

test('an answer that is read slowly is not cut, however long it takes', async (t) => {
  const { response, client } = await unread(t);
  const cuts: string[] = [];
  const outlet = openOutlet(response, (why) => cuts.push(why));
  for (let i = 0; i < 256; i++) response.write(Buffer.alloc(128 * 1_024));
  let minutes = 0;
  outlet.look(0);
  while (response.writableLength > 0) {
    const before = response.writableLength;
    client.resume();
    await until(() => response.writableLength < before, 'some more is read');
    client.pause();
    outlet.look(++minutes * 59_000);
  }
  deepEqual(cuts, []);
});

test('a stream that goes on for a client that reads nothing is cut after a minute', async (t) => {
  const { response } = await unread(t);
  const cuts: string[] = [];
  const outlet = openOutlet(response, (why) => cuts.push(why));
  const head = () => ({ by: null, protection: 'none', stream: null }) as const;
  // What the kernels hold is out, as far as a process can tell.
  const send = async (data: string): Promise<void> => {
    outlet.send({ data, id: null }, head);
    await new Promise((resolve) => setImmediate(resolve));
  };
  while (response.writableLength === 0) await send('x'.repeat(64 * 1_024));
  for (let second = 0; second <= 300 && cuts.length === 0; second += 5) {
    await send(`{"word":"${second} ☕"}`);
    outlet.look(second * 1_000);
  }
  deepEqual(cuts, ['stuck']);
});

test('a stream that is idle because there is nothing to say is not cut', async (t) => {
  const { response } = await unread(t);
  const cuts: string[] = [];
  const outlet = openOutlet(response, (why) => cuts.push(why));
  outlet.send({ data: '{}', id: null }, () => ({ by: null, protection: 'none', stream: null }));
  await until(() => response.writableLength === 0, 'it is out');
  for (const minute of [0, 1, 5, 60]) outlet.look(minute * 60_000);
  deepEqual(cuts, []);
});

test('a stream of any characters is whole to clients of HTTP/1.1, and to one of HTTP/1.0 that knows no chunks', async (t) => {
  const head = () => ({ by: null, protection: 'none', stream: null }) as const;
  const server = createServer((_, response) => {
    const outlet = openOutlet(response, () => {});
    for (const data of ['ascii', 'é \u{1f600}', '']) outlet.send({ data, id: null }, head);
    setImmediate(() => {
      outlet.send({ data: 'later', id: 'x.1.0' }, head);
      outlet.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const events = 'data: ascii\n\ndata: é \u{1f600}\n\ndata: \n\nid: x.1.0\ndata: later\n\n';
  for (const _ of ['first', 'kept alive']) {
    const response = await fetch(`http://127.0.0.1:${port}/`);
    equal(response.headers.get('transfer-encoding'), 'chunked');
    equal(await response.text(), events);
  }
  const old = connect(port, '127.0.0.1');
  old.write('GET / HTTP/1.0\r\n\r\n');
  const told = (await old.toArray()).join('');
  equal(told.slice(told.indexOf('\r\n\r\n') + 4), events);
});
