/** What Node.js by itself would refuse without a word. */
import { equal, match } from 'node:assert/strict';
import { after, test } from 'node:test';
import { FakeCluster } from './fake-cluster.ts';
import { exchange } from './raw-client.ts';

const cluster = await FakeCluster.of(1);
const node = cluster.get(0);
after(() => cluster[Symbol.asyncDispose]());

test('a request without a host, and one for a tunnel, are told what is wrong', async () => {
  const hostless = await exchange(node.gateway.port, ['GET /healthz HTTP/1.1\r\n\r\n']);
  equal(hostless.status, 400);
  match(hostless.body, /^\{"error":\{"message":"[^"]*Host header/);
  const older = await exchange(node.gateway.port, ['GET /healthz HTTP/1.0\r\n\r\n']);
  equal(older.status, 200);
  const tunnel = await exchange(node.gateway.port, ['CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n']);
  equal(tunnel.status, 405);
  match(tunnel.body, /^\{"error":\{"message":"Method CONNECT/);
});
