/** The listener for clients with a certificate: who talks TLS to it, and who only holds its connections. */
import { equal, ok, rejects, throws } from 'node:assert/strict';
import { once } from 'node:events';
import { get } from 'node:https';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { makeCertificate } from './certificate.ts';
import { FakeCluster } from './fake-cluster.ts';

const tls = await makeCertificate();

const health = (port: number, ca = tls.cert): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path: '/healthz', ca, agent: false }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    }).on('error', reject);
  });

/** A connection that the server has accepted and that never says a word. */
async function silentTo(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => socket.destroy());
  socket.resume();
  await once(socket, 'connect');
  // Connections are accepted in the order in which they came.
  equal(await health(port), 200);
  return socket;
}

test('with a certificate clients talk TLS, and nothing else is understood', async () => {
  await using cluster = await FakeCluster.of(1, { tls });
  const { port } = cluster.get(0).gateway;
  equal(await health(port), 200);
  await rejects(fetch(`http://127.0.0.1:${port}/healthz`));
});

test('a client that never finishes its handshake is let go, long before it would be without a bound', async () => {
  await using cluster = await FakeCluster.of(1, { tls });
  const silent = await silentTo(cluster.get(0).gateway.port);
  // Node.js by itself waits for two minutes.
  await once(silent, 'close', { signal: AbortSignal.timeout(60_000) });
});

test('a handshake that is never finished holds up no end', async () => {
  await using cluster = await FakeCluster.of(1, { tls });
  const node = cluster.get(0);
  const silent = await silentTo(node.gateway.port);
  // Sooner than the bound of a handshake, which would end it too.
  const late = wait(8_000, 'late', { ref: false });
  ok((await Promise.race([node.gateway.close(AbortSignal.timeout(50)), late])) !== 'late');
  if (!silent.closed) await once(silent, 'close');
});

test('a renewed certificate is shown to who connects from then on, and one that is none changes nothing', async () => {
  await using cluster = await FakeCluster.of(1, { tls });
  const { gateway } = cluster.get(0);
  const next = await makeCertificate();
  throws(() => gateway.renew!({ cert: next.cert, key: tls.key }), { kind: 'invalid' });
  equal(await health(gateway.port), 200);
  gateway.renew!(next);
  equal(await health(gateway.port, next.cert), 200);
  await rejects(health(gateway.port));
});
