import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectPlain, createServer } from 'node:net';
import { after, afterEach, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { type Dispatcher, type Pool } from 'undici';
import { issueCertificate, type Credentials } from '../../src/mtls/certificate.ts';
import { loadIdentity, type Identity } from '../../src/mtls/identity.ts';
import {
  listenPeers,
  peerBounds,
  type Lines,
  type PeerListener,
  type PeerListenerOptions,
} from '../../src/mtls/peer-listener.ts';
import { peerPool } from '../../src/mtls/peer-pool.ts';
import { openPeerPools } from '../../src/mtls/peer-pools.ts';
import { PeerWay } from '../../src/mtls/peer-way.ts';
import type { Call } from '../../src/node/call.ts';
import { lineKind, linesTo } from './line-listener.ts';

type Node = { readonly identity: Identity; readonly credentials: Credentials };

const folder = await mkdtemp(join(tmpdir(), 'synkti-https-'));
after(() => rm(folder, { recursive: true }));
const node = async (name: string): Promise<Node> => {
  const identity = await loadIdentity(join(folder, name));
  return { identity, credentials: await issueCertificate(identity) };
};
const [alice, bob, eve] = [await node('alice'), await node('bob'), await node('eve')];
const soon = (): AbortSignal => AbortSignal.timeout(30_000);

const listeners: PeerListener[] = [];
const pools: Pool[] = [];
const ways: PeerWay[] = [];
afterEach(async () => {
  await Promise.all(ways.splice(0).map((way) => way.destroy()));
  await Promise.all(pools.splice(0).map((pool) => pool.destroy()));
  await Promise.all(listeners.splice(0).map((listener) => listener.close(AbortSignal.abort())));
});

type Served = { readonly listener: PeerListener; readonly refusals: string[]; readonly requests: string[] };

/** Bob listens, admits Alice only unless told otherwise, and answers with the peer id he sees. */
async function bobListens(options: Partial<PeerListenerOptions> = {}): Promise<Served> {
  const refusals: string[] = [];
  const requests: string[] = [];
  const listener = await listenPeers(
    {
      credentials: bob.credentials,
      host: '127.0.0.1',
      port: 0,
      admit: (peerId) => Promise.resolve(peerId === alice.identity.peerId),
      onRequest: (_, response, peerId) => {
        requests.push(peerId);
        response.end(peerId);
      },
      lines: { protocol: 'none/1', take: () => ({ leave: () => {} }) },
      bounds: peerBounds,
      onRefused: (why) => refusals.push(why),
      ...options,
    },
    soon(),
  );
  listeners.push(listener);
  return { listener, refusals, requests };
}

function poolOf(from: Node, to: Node, { listener }: Served): Pool {
  const pool = peerPool({
    credentials: from.credentials,
    peerId: to.identity.peerId,
    address: `127.0.0.1:${listener.port}`,
  });
  pools.push(pool);
  return pool;
}

async function ask(pool: Pool): Promise<string> {
  const { body } = await pool.request({ path: '/', method: 'GET', signal: soon() });
  return body.text();
}

test('a peer that is admitted is served under its own peer id, asked for once a connection', async () => {
  let asked = 0;
  const admit = (): Promise<boolean> => Promise.resolve(++asked > 0);
  const served = await bobListens({ admit });
  const pool = poolOf(alice, bob, served);
  for (let i = 0; i < 5; i++) equal(await ask(pool), alice.identity.peerId);
  ok(asked <= 2, `judged once a connection, not ${asked} times`);
});

test('a peer that is not admitted is cut before its request is seen, and that is reported', async () => {
  const served = await bobListens();
  const pool = poolOf(eve, bob, served);
  await rejects(ask(pool));
  deepEqual(served.requests, []);
  match(served.refusals.join(), new RegExp(`${eve.identity.peerId}: denied: not a member`));
});

test('a request that arrives while its peer is being judged waits for the verdict', async () => {
  const verdict = Promise.withResolvers<boolean>();
  const served = await bobListens({ admit: () => verdict.promise });
  const pool = poolOf(alice, bob, served);
  const answer = ask(pool);
  const early = await Promise.race([
    answer,
    new Promise((resolve) => setTimeout(resolve, 50, 'still waiting')),
  ]);
  equal(early, 'still waiting');
  verdict.resolve(true);
  equal(await answer, alice.identity.peerId);
});

test('a pool speaks to nobody but the peer it was made for', async () => {
  const served = await bobListens();
  const pool = poolOf(alice, eve, served);
  await rejects(ask(pool), (error: { message: string }) =>
    error.message.includes(`denied: ${bob.identity.peerId} answers there`),
  );
  deepEqual(served.requests, []);
});

async function rawConnection(served: Served, options: ConnectionOptions): Promise<TLSSocket> {
  const socket = connect({
    port: served.listener.port,
    rejectUnauthorized: false,
    minVersion: 'TLSv1.3',
    ...options,
  });
  socket.on('error', () => socket.destroy());
  await once(socket, 'secureConnect', { signal: soon() });
  return socket;
}

test('a client without a certificate, or with anybody else’s kind of certificate, is cut', async () => {
  const served = await bobListens();
  const bare = await rawConnection(served, {});
  await once(bare, 'close', { signal: soon() });
  match(served.refusals.join(), /no certificate/);
  const expired = await issueCertificate(alice.identity, { from: 0, to: Date.now() - 86_400_000 });
  const late = await rawConnection(served, expired);
  await once(late, 'close', { signal: soon() });
  match(served.refusals.join(), /not in force/);
});

test('an older TLS and a connection that is no TLS at all end in the handshake', async () => {
  const served = await bobListens();
  await rejects(
    rawConnection(served, { ...alice.credentials, minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' }),
  );
  match(served.refusals.join(), /peer handshake/);
});

test('no session is resumed: a second connection shows its certificate again', async () => {
  const served = await bobListens();
  const first = await rawConnection(served, alice.credentials);
  let session: Buffer | undefined = first.getSession();
  first.on('session', (fresh) => (session = fresh));
  first.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  await once(first, 'data', { signal: soon() });
  first.destroy();
  const second = await rawConnection(served, { ...eve.credentials, ...(session && { session }) });
  equal(second.isSessionReused(), false);
  await once(second, 'close', { signal: soon() });
  match(served.refusals.join(), new RegExp(eve.identity.peerId));
});

test('an address that answers nothing fails within the time to connect, a closed port at once', async () => {
  const silent = createServer(() => {});
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as { port: number };
  const to = { credentials: alice.credentials, peerId: bob.identity.peerId };
  const mute = peerPool({ ...to, address: `127.0.0.1:${port}` });
  const closed = peerPool({ ...to, address: '127.0.0.1:1' });
  pools.push(mute, closed);
  const started = performance.now();
  await rejects(ask(closed), { code: 'ECONNREFUSED' });
  await rejects(ask(mute), { code: 'UND_ERR_CONNECT_TIMEOUT' });
  ok(performance.now() - started < 4_000);
  silent.close();
});

test('closing lets a running request finish, and cuts it when the time is up', async () => {
  for (const graceful of [true, false]) {
    const begun = Promise.withResolvers<{ end(text: string): void }>();
    const served = await bobListens({ onRequest: (_, response) => begun.resolve(response) });
    const pool = poolOf(alice, bob, served);
    const answer: Promise<Dispatcher.ResponseData> = pool.request({
      path: '/',
      method: 'GET',
      signal: soon(),
    });
    const outcome = answer.then(
      ({ body }) => body.text(),
      () => 'cut',
    );
    const response = await begun.promise;
    const closing = served.listener.close(graceful ? soon() : AbortSignal.timeout(50));
    if (graceful) response.end('finished');
    equal(await outcome, graceful ? 'finished' : 'cut');
    await closing;
  }
});

test('a connection that never finishes its handshake does not hold up the end', async () => {
  const served = await bobListens();
  const silent = connectPlain(served.listener.port, '127.0.0.1');
  silent.on('error', () => silent.destroy());
  silent.resume();
  await once(silent, 'connect');
  // Connections are accepted in the order in which they came.
  await ask(poolOf(alice, bob, served));
  const closing = served.listener.close(AbortSignal.abort()).then(() => 'closed');
  // Sooner than the bound of a handshake, which would end it too.
  equal(await Promise.race([closing, wait(4_000, 'late', { ref: false })]), 'closed');
  if (!silent.closed) await once(silent, 'close');
});

/** As a daemon has them: each call is answered with the peer id that it comes from. */
const lines = linesTo((call, peerId) => {
  call.answer(200, {});
  call.write(Buffer.from(`by line, ${peerId}`));
  call.end();
});

function wayOf(from: Node, to: Node, served: Served): PeerWay {
  const way = new PeerWay(poolOf(from, to, served), lineKind);
  ways.push(way);
  return way;
}

/** The body of the answer; rejects as the call is lost. */
const askBy = (way: PeerWay): Promise<string> =>
  new Promise((resolve, reject) => {
    let text = '';
    way.dispatch(
      { method: 'GET', path: '/', headersTimeout: 5_000 },
      {
        onRequestStart: () => {},
        onResponseStart: () => {},
        onResponseData: (_, part) => (text += part.toString('utf8')),
        onResponseEnd: () => resolve(text),
        onResponseError: (_, error) => reject(error),
      },
    );
  });

test('all calls to a peer go by one connection, judged once', async () => {
  let asked = 0;
  const admit = (): Promise<boolean> => Promise.resolve(++asked > 0);
  const served = await bobListens({ admit, lines });
  const way = wayOf(alice, bob, served);
  const answers = await Promise.all(Array.from({ length: 50 }, () => askBy(way)));
  deepEqual(new Set(answers), new Set([`by line, ${alice.identity.peerId}`]));
  equal(asked, 1);
  deepEqual(served.requests, []);
});

test('a peer of a version that knows no lines, or none of ours, is asked by a connection for each call', async () => {
  for (const known of ['none/1', 'synkti-frames/2']) {
    const served = await bobListens({ lines: { ...lines, protocol: known } });
    const way = wayOf(alice, bob, served);
    const answers = await Promise.all(Array.from({ length: 5 }, () => askBy(way)));
    deepEqual(new Set(answers), new Set([alice.identity.peerId]));
  }
});

test('nobody gets a line who is not admitted, and none speaks to another than the peer it was made for', async () => {
  const served = await bobListens({ lines });
  await rejects(askBy(wayOf(eve, bob, served)));
  match(served.refusals.join(), new RegExp(`${eve.identity.peerId}: denied: not a member`));
  await rejects(askBy(wayOf(alice, eve, served)), (error: { message: string }) =>
    error.message.includes(`denied: ${bob.identity.peerId} answers there`),
  );
});

test('calls to nobody are refused at once, and the next one tries again', async () => {
  const served = await bobListens({ lines });
  const { port } = served.listener;
  const pool = peerPool({
    ...{ credentials: alice.credentials, peerId: bob.identity.peerId, address: `127.0.0.1:${port}` },
  });
  const way = new PeerWay(pool, lineKind);
  ways.push(way);
  await served.listener.close(soon());
  await rejects(askBy(way), { code: 'ECONNREFUSED' });
  await bobListens({ port, lines });
  equal(await askBy(way), `by line, ${alice.identity.peerId}`);
});

test('who is a member no more loses its lines with the calls on them, and gets no new one; others keep theirs', async () => {
  const members = new Set([alice, eve].map(({ identity }) => identity.peerId));
  const begun = Promise.withResolvers<Call>();
  const admit = (peerId: string): Promise<boolean> => Promise.resolve(members.has(peerId));
  const hung = linesTo(begun.resolve);
  const unanswered: Lines = {
    ...hung,
    take: (socket, head, about) =>
      (about.peerId === eve.identity.peerId ? lines : hung).take(socket, head, about),
  };
  const served = await bobListens({ admit, lines: unanswered });
  const [hers, others] = [wayOf(alice, bob, served), wayOf(eve, bob, served)];
  const running = askBy(hers);
  const call = await begun.promise;
  const over = new Promise<void>((resolve) => call.onClose(resolve));
  equal(await askBy(others), `by line, ${eve.identity.peerId}`);
  members.clear();
  served.listener.cut(alice.identity.peerId);
  await rejects(running);
  await over;
  await rejects(askBy(hers));
  match(served.refusals.join(), new RegExp(`${alice.identity.peerId}: denied: not a member`));
  equal(await askBy(others), `by line, ${eve.identity.peerId}`);
});

test('who ceases to be a member while it is judged is not served, whatever the verdict was', async () => {
  const [asked, verdict] = [Promise.withResolvers<void>(), Promise.withResolvers<boolean>()];
  const admit = (): Promise<boolean> => {
    asked.resolve();
    return verdict.promise;
  };
  const served = await bobListens({ admit });
  const answer = rejects(ask(poolOf(alice, bob, served)));
  await asked.promise;
  served.listener.cut(alice.identity.peerId);
  verdict.resolve(true);
  await answer;
  deepEqual(served.requests, []);
});

test('a listener that closes ends the lines to it once their calls are over', async () => {
  const begun = Promise.withResolvers<Call>();
  const served = await bobListens({ lines: linesTo(begun.resolve) });
  const answer = askBy(wayOf(alice, bob, served));
  const call = await begun.promise;
  const closing = served.listener.close(soon());
  call.answer(200, {});
  call.write(Buffer.from('finished'));
  call.end();
  equal(await answer, 'finished');
  await closing;
});

test('a port that is taken is one clear failure', async () => {
  const served = await bobListens();
  await rejects(bobListens({ port: served.listener.port }), { kind: 'busy', message: /busy: EADDRINUSE/ });
});

test('an address that a member says of itself and that is none is a way that leads nowhere', async () => {
  const pools = openPeerPools(alice.credentials, lineKind);
  for (const address of ['a b', '[', 'h:99999', ':1', 'h:1/x', 'u@h:1', ''])
    await rejects(
      new Promise((resolve, reject) => {
        const handler = {
          onResponseEnd: resolve,
          onResponseError: (_: unknown, error: Error) => reject(error),
        };
        pools.to({ peerId: bob.identity.peerId, address }).dispatch({ method: 'GET', path: '/' }, handler);
      }),
      { kind: 'invalid' },
      address,
    );
  await pools.close();
});
