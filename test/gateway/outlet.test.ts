import { deepEqual, equal, ok } from 'node:assert/strict';
import { createServer, type ServerResponse } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { test } from 'node:test';
import { openOutlet, type Outlet } from '../../src/gateway/outlet.ts';
import { roomFor } from '../../src/gateway/room.ts';
import { everyone } from '../../src/std/room.ts';
import { until } from './fake-cluster.ts';

const burstBytesMax = 32 * 1_024 ** 2;
const head = () => ({ by: null, protection: 'none', stream: null }) as const;

/** As after a read of an engine's connection. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

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
  const outlet = openOutlet(response, roomFor(burstBytesMax), (why) => cuts.push(why));
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
  const outlet = openOutlet(response, roomFor(burstBytesMax), (why) => cuts.push(why));
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

test('an answer in one piece is whole to who reads it slowly, and cut where nobody reads it', async (t) => {
  const body = Buffer.alloc(24 * 1_024 ** 2, '{"é":[0]}');
  const ways: readonly ((outlet: Outlet) => void)[] = [
    (outlet) => outlet.answer({ status: 200, body: body.toString() }, head()),
    (outlet) => outlet.deliver(200, {}, body),
  ];
  for (const send of ways) {
    const { response, client } = await unread(t);
    const cuts: string[] = [];
    const outlet = openOutlet(response, roomFor(burstBytesMax), (why) => cuts.push(why));
    const parts: Buffer[] = [];
    let [bytes, quota] = [0, 0];
    client.on('data', (part: Buffer) => {
      parts.push(part);
      bytes += part.length;
      if (bytes >= quota) client.pause();
    });
    client.pause();
    send(outlet);
    for (let second = 0; bytes < body.length; second += 25) {
      outlet.look(second * 1_000);
      quota = Math.min(body.length, bytes + 4 * 1_024 ** 2);
      client.resume();
      await until(() => bytes >= quota || cuts.length > 0, 'some more is read');
      deepEqual(cuts, []);
    }
    await until(() => response.writableFinished, 'all of it is out');
    const told = Buffer.concat(parts);
    ok(told.subarray(told.indexOf('\r\n\r\n') + 4).equals(body));
  }
  const { response } = await unread(t);
  const cuts: string[] = [];
  const outlet = openOutlet(response, roomFor(burstBytesMax), (why) => cuts.push(why));
  ways[0]!(outlet);
  for (let second = 0; second <= 300 && cuts.length === 0; second += 5) {
    await turn();
    outlet.look(second * 1_000);
  }
  deepEqual(cuts, ['stuck']);
});

test('a stream that goes on for a client that reads nothing is cut after a minute', async (t) => {
  const { response } = await unread(t);
  const cuts: string[] = [];
  const outlet = openOutlet(response, roomFor(burstBytesMax), (why) => cuts.push(why));
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
  const outlet = openOutlet(response, roomFor(burstBytesMax), (why) => cuts.push(why));
  outlet.send({ data: '{}', id: null }, head);
  await until(() => response.writableLength === 0, 'it is out');
  for (const minute of [0, 1, 5, 60]) outlet.look(minute * 60_000);
  deepEqual(cuts, []);
});

test('a stream of any characters is whole to clients of HTTP/1.1, and to one of HTTP/1.0 that knows no chunks', async (t) => {
  const server = createServer((_, response) => {
    const outlet = openOutlet(response, roomFor(burstBytesMax), () => {});
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

test('a burst of megabytes is whole to who reads it slowly, and so is what follows meanwhile', async (t) => {
  const { response, client } = await unread(t);
  const cuts: string[] = [];
  const outlet = openOutlet(response, roomFor(burstBytesMax), (why) => cuts.push(why));
  const large = '☕ '.repeat(2.5 * 1_024 ** 2);
  const all = 3 * Buffer.byteLength(large);
  let bytes = 0;
  let quota = 0;
  const parts: Buffer[] = [];
  client.on('data', (part: Buffer) => {
    parts.push(part);
    bytes += part.length;
    if (bytes >= quota) client.pause();
  });
  client.pause();
  for (let i = 0; i < 3; i++) {
    outlet.send({ data: large, id: null }, head);
    outlet.send({ data: `${i} of 3`, id: null }, head);
    await turn();
  }
  // Far more than the kernels hold, so that it is on its way for minutes.
  for (let second = 0; bytes < all; second += 25) {
    quota = Math.min(all, bytes + 4 * 1_024 ** 2);
    client.resume();
    await until(() => bytes >= quota, 'some more is read');
    outlet.send({ data: 'small', id: null }, head);
    await turn();
    outlet.look(second * 1_000);
  }
  quota = Infinity;
  client.resume();
  outlet.end();
  await until(() => response.writableFinished, 'all of it is out');
  deepEqual(cuts, []);
  const told = Buffer.concat(parts);
  ok(told.indexOf('2 of 3') < told.indexOf('small'), 'in its order');
});

test('a burst that nobody reads makes no room for what follows, and one that is out makes none either', async (t) => {
  for (const isRead of [false, true]) {
    const { response, client } = await unread(t);
    const cuts: string[] = [];
    const bursts = roomFor(burstBytesMax);
    const outlet = openOutlet(response, bursts, (why) => cuts.push(why));
    const send = async (bytes: number): Promise<void> => {
      outlet.send({ data: 'x'.repeat(bytes), id: null }, head);
      await turn();
    };
    await send(30 * 1_024 ** 2);
    if (isRead) {
      client.resume();
      await until(() => response.writableLength === 0, 'it is out');
      client.pause();
    }
    deepEqual(cuts, []);
    // Less than the burst, and more than the kernels take.
    for (let sent = 0; sent < (isRead ? 400 : 24) && cuts.length === 0; sent++) await send(64 * 1_024);
    deepEqual(cuts, ['unread']);
    await until(() => bursts.of(everyone).take(burstBytesMax) === null, 'its room is given back');
  }
});

test('bursts beyond the room for them all are what any client has left lying', async (t) => {
  const { response } = await unread(t);
  const cuts: string[] = [];
  const outlet = openOutlet(response, roomFor(burstBytesMax), (why) => cuts.push(why));
  for (let i = 0; i < 20 && cuts.length === 0; i++) {
    outlet.send({ data: 'x'.repeat(4 * 1_024 ** 2), id: null }, head);
    await turn();
  }
  deepEqual(cuts, ['unread']);
  ok(response.writableLength <= burstBytesMax);
});

test('whole answers that nobody reads have one room together, and whose answer does not fit is told to come back', async (t) => {
  const room = roomFor(3 * 1_024 ** 2);
  const whole = { status: 200, body: ' '.repeat(2 * 1_024 ** 2) };
  const [one, other, third] = [await unread(t), await unread(t), await unread(t)];
  const answer = ({ response }: typeof one): void =>
    openOutlet(response, room, () => {}).answer(whole, head());
  answer(one);
  answer(other);
  deepEqual([one.response.statusCode, other.response.statusCode], [200, 503]);
  one.client.destroy();
  await until(() => one.response.destroyed, 'it is gone');
  answer(third);
  equal(third.response.statusCode, 200);
});

test("[S34] an engine's refusal behind a head is an error event, in one line, and ends the stream", async (t) => {
  const { response, client } = await unread(t);
  let heard = '';
  client.on('data', (bytes: Buffer) => (heard += bytes.toString()));
  client.resume();
  const outlet = openOutlet(response, roomFor(burstBytesMax), () => {});
  outlet.comment(head);
  const error = { message: 'no', type: 'BadRequestError', param: null, code: 400 };
  outlet.answer({ status: 400, body: JSON.stringify({ error }, null, 2) }, head());
  outlet.comment(head);
  await until(() => heard.endsWith('0\r\n\r\n'), 'all of it');
  const events = heard.split('\r\n').filter((line) => line.startsWith(':') || line.startsWith('data'));
  deepEqual(events.join(''), `:\n\ndata: ${JSON.stringify({ error })}\n\ndata: [DONE]\n\n`);
});

test('[S34] where something lies unread no comment is added', async (t) => {
  const { response } = await unread(t);
  const outlet = openOutlet(response, roomFor(burstBytesMax), () => {});
  while (response.writableLength === 0) {
    outlet.send({ data: 'x'.repeat(64 * 1_024), id: null }, head);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const before = response.writableLength;
  for (let i = 0; i < 3; i++) {
    outlet.comment(head);
    await new Promise((resolve) => setImmediate(resolve));
  }
  equal(response.writableLength, before);
});

test('[A12] what one key left unread leaves room to the answers of others', async (t) => {
  const room = roomFor(8 * 1_024 ** 2);
  const whole = { status: 200, body: ' '.repeat(2 * 1_024 ** 2) };
  const asked: (readonly [owner: string, response: ServerResponse])[] = [];
  for (const owner of ['a', 'a', 'a', 'a', 'b']) asked.push([owner, (await unread(t)).response]);
  // All at once: what a kernel has taken meanwhile takes no room.
  for (const [owner, response] of asked) {
    const outlet = openOutlet(response, room, () => {});
    outlet.belongsTo(owner);
    outlet.answer(whole, head());
  }
  deepEqual(
    asked.map(([, { statusCode }]) => statusCode),
    [200, 200, 200, 503, 200],
  );
});
