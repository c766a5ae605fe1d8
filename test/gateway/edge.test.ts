/** What browsers need of the server, and what connections are told that ask for nothing. */
import { deepEqual, equal, match } from 'node:assert/strict';
import { connect, createServer, type AddressInfo } from 'node:net';
import { test } from 'node:test';
import { complainOnSocket } from '../../src/gateway/protocol-errors.ts';
import { FakeCluster } from './fake-cluster.ts';

const origin = 'https://app.example';

const preflight = (url: string, from: string): Promise<Response> =>
  fetch(`${url}/v1/chat/completions`, {
    method: 'OPTIONS',
    headers: {
      origin: from,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,content-type',
    },
  });

test('a page of a listed origin may ask, with its headers, and read what concerns it', async () => {
  await using cluster = await FakeCluster.of(1, { corsOrigins: [origin] });
  const { url } = cluster.get(0);
  const allowed = await preflight(url, origin);
  const told = ['origin', 'headers', 'methods'].map((name) =>
    allowed.headers.get(`access-control-allow-${name}`),
  );
  deepEqual([allowed.status, ...told], [204, origin, 'authorization,content-type', 'GET, POST']);
  const answer = await fetch(`${url}/v1/models`, { headers: { origin } });
  equal(answer.headers.get('access-control-allow-origin'), origin);
  equal(answer.headers.get('vary'), 'origin');
});

test('a page of another origin is told nothing, nor is anybody where none is listed', async () => {
  await using cluster = await FakeCluster.of(1, { corsOrigins: [origin] });
  await using closed = await FakeCluster.of(1);
  for (const { url } of [cluster.get(0), closed.get(0)]) {
    const refused = await preflight(url, 'https://evil.example');
    deepEqual([refused.status, refused.headers.get('access-control-allow-origin')], [405, null]);
  }
});

test('a connection that was opened ahead and not used is closed without a word, a slow request is told', async (t) => {
  const late = Object.assign(new Error('late'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' });
  const answered = async (sent: string): Promise<string> => {
    const server = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      if (sent === '') complainOnSocket(late, socket, 0);
      else socket.once('data', () => complainOnSocket(late, socket, 0));
    });
    t.after(() => server.close());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
    if (sent !== '') client.write(sent);
    let heard = '';
    for await (const part of client) heard += String(part);
    return heard;
  };
  equal(await answered(''), '');
  match(await answered('POST /v1/'), /^HTTP\/1\.1 408 /);
});
