import { equal, match, ok, rejects } from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test, type TestContext } from 'node:test';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { issueCertificate, type Credentials } from '../../src/mtls/certificate.ts';
import type { Bounds } from '../../src/mtls/crowd.ts';
import { loadIdentity } from '../../src/mtls/identity.ts';
import { listenPeers, peerBounds } from '../../src/mtls/peer-listener.ts';

const folder = await mkdtemp(join(tmpdir(), 'synkti-crowd-'));
after(() => rm(folder, { recursive: true }));
const credentialsOf = async (name: string): Promise<Credentials> =>
  issueCertificate(await loadIdentity(join(folder, name)));
const [alice, bob, eve] = [
  await credentialsOf('alice'),
  await credentialsOf('bob'),
  await credentialsOf('eve'),
];

type Listening = { readonly port: number; readonly refusals: string[] };

/** Bob listens, and whoever has a key is a member. */
async function listen(t: TestContext, bounds: Partial<Bounds>): Promise<Listening> {
  const refusals: string[] = [];
  const listener = await listenPeers(
    {
      ...{ credentials: bob, host: '127.0.0.1', port: 0, admit: () => Promise.resolve(true) },
      onRequest: (_, response) => response.end('answered'),
      lines: { protocol: 'none/1', take: () => ({ leave: () => {} }) },
      bounds: { ...peerBounds, ...bounds },
      onRefused: (why) => refusals.push(why),
    },
    AbortSignal.timeout(30_000),
  );
  t.after(() => listener.close(AbortSignal.abort()));
  return { port: listener.port, refusals };
}

/** Stands, and says nothing of who it is. */
async function silent(t: TestContext, port: number, localAddress: string): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', localAddress });
  t.after(() => socket.destroy());
  socket.on('error', () => socket.destroy());
  await once(socket.resume(), 'connect');
  return socket;
}

/** A connection of a peer that has had an answer by it, and keeps it. */
async function answered(t: TestContext, port: number, credentials: Credentials): Promise<TLSSocket> {
  const socket = connectTls({ ...{ port, host: '127.0.0.1', rejectUnauthorized: false }, ...credentials });
  t.after(() => socket.destroy());
  await ask(socket);
  return socket;
}

async function ask(socket: TLSSocket): Promise<void> {
  const heard = Promise.withResolvers<string>();
  socket.on('error', heard.reject);
  socket.once('close', () => heard.reject(new Error('closed')));
  socket.once('data', (chunk: Buffer) => heard.resolve(chunk.toString()));
  socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  match(await heard.promise, /answered/);
}

test('strangers that say nothing keep no peer out: the oldest of the address with most of them gives way', async (t) => {
  const { port } = await listen(t, { strangersMax: 3 });
  const quiet = await silent(t, port, '127.0.0.2');
  const hogs = [await silent(t, port, '127.0.0.3'), await silent(t, port, '127.0.0.3')];
  const first = await answered(t, port, alice);
  if (!hogs[0]!.closed) await once(hogs[0]!, 'close');
  await answered(t, port, alice);
  await ask(first);
  ok(!quiet.closed && !hogs[1]!.closed, 'who was let in is no stranger');
});

test('one peer has its number of connections, and what it has closed is free again', async (t) => {
  const { port, refusals } = await listen(t, { memberMax: 2 });
  const [first] = [await answered(t, port, alice), await answered(t, port, alice)];
  await rejects(answered(t, port, alice));
  match(refusals.join(), /busy: has 2 connections/);
  await answered(t, port, eve);
  first.end();
  await once(first, 'close');
  await answered(t, port, alice);
});

test('all peers together have no more than their number', async (t) => {
  const { port, refusals } = await listen(t, { membersMax: 1 });
  await answered(t, port, alice);
  await rejects(answered(t, port, eve));
  match(refusals.join(), /busy: all have 1 connections/);
  equal(refusals.length, 1);
});
