/** Each of these fails when the setting or the watch that it is about is taken away. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, mock, test } from 'node:test';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { StreamCloseEvent } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { dialFailure } from '../../src/libp2p/address.ts';
import { gossipTopic } from '../../src/libp2p/node.ts';
import type { Failure } from '../../src/std/failure.ts';
import { bytes, dial, dialAgain, soon, startPeer, until, type Peer } from './peers.ts';
import { closeRaw, closeWith, met, startRaw } from './raw.ts';

afterEach(closeRaw);

async function ours(): Promise<Peer> {
  const peer = await startPeer();
  closeWith(() => peer.network.close());
  return peer;
}

const heardByGossip = (peer: Peer, text: string): boolean =>
  peer.heard.some((heard) => heard.via === 'gossip' && heard.text === text);

test('thirty peers on one address dial a node at once, and all get in', async () => {
  const node = await ours();
  const peers = await Promise.all(Array.from({ length: 30 }, ours));
  await Promise.all(peers.map((peer) => dialAgain(peer, node)));
  await until('all connected', () => new Set(node.links).size >= 30);
});

test('gossip that broke on a standing connection is noticed, and heard again once the peer is back', async () => {
  const { ours: node, raw, connection } = await met();
  await until('gossip stands', () => raw.services.pubsub.getSubscribers(gossipTopic).length === 1);
  let heartbeats = 0;
  raw.services.pubsub.addEventListener('gossipsub:heartbeat', () => heartbeats++);
  await until('the watch has seen it', () => heartbeats > 1);
  const incoming = connection.streams.filter(
    ({ direction, protocol }) => direction === 'inbound' && protocol.includes('meshsub'),
  );
  equal(incoming.length, 1);
  for (const stream of incoming) stream.abort(new Error('broken'));
  const tookMs = await until('dropped', () => node.links.at(-1) === `-${raw.peerId.toString()}`);
  ok(tookMs > 1_000, 'not while it may still be on its way');
  match(node.refused.join(), /takes no gossip/);
  const heard: string[] = [];
  raw.services.pubsub.addEventListener('message', ({ detail }) =>
    heard.push(Buffer.from(detail.data).toString()),
  );
  raw.services.pubsub.subscribe(gossipTopic);
  await met({ ours: node, raw });
  await until('heard again', () => {
    node.network.gossip(bytes('again'));
    return heard.includes('again');
  });
});

test('nobody is pinged, and so nobody cut for a ping that is not answered', async () => {
  mock.timers.enable({ apis: ['setInterval'] });
  closeWith(() => mock.timers.reset());
  const { ours: node, raw, connection } = await met();
  let pings = 0;
  await raw.handle('/ipfs/ping/1.0.0', () => void pings++);
  mock.timers.tick(60_000);
  await until('another stream made its way', () => {
    node.network.gossip(bytes('x'));
    return raw.services.pubsub.getSubscribers(gossipTopic).length === 1;
  });
  deepEqual([pings, connection.status, node.links.length], [0, 'open', 1]);
});

test('hundreds of messages open no stream', async () => {
  const { ours: node, raw, connection } = await met();
  await until('gossip stands', () => raw.services.pubsub.getSubscribers(gossipTopic).length === 1);
  await until('identified', () => connection.streams.every(({ protocol }) => !protocol.includes('/id/')));
  const before = connection.streams.length;
  for (let i = 0; i < 500; i++) ok(node.network.send(raw.peerId.toString(), bytes('hello')));
  await until('still standing', () => connection.streams.length === before);
  equal(before, 4, 'one of ours and one of gossip, in each direction');
});

test('a peer that comes and goes seventy times leaves nothing behind', async () => {
  const raw = await startRaw();
  const node = await ours();
  for (let i = 0; i < 70; i++) {
    const { connection } = await met({ ours: node, raw });
    await node.network.hangUp(raw.peerId.toString());
    await until('gone', () => connection.status !== 'open');
  }
  const { peers, streamsInbound, streamsOutbound } = raw.services.pubsub as unknown as Record<
    string,
    Map<string, unknown>
  >;
  await until('nothing is left', () => raw.getConnections().length === 0 && peers?.size === 0);
  deepEqual([streamsInbound?.size, streamsOutbound?.size, node.links.length], [0, 0, 140]);
});

test('a copy of a message that was heard is not verified again', async () => {
  const { publicKey } = await generateKeyPair('Ed25519');
  const keys = Object.getPrototypeOf(publicKey) as { verify(...given: unknown[]): unknown };
  const { verify } = keys;
  const { ours: node, raw } = await met();
  await until('gossip stands', () => raw.services.pubsub.getSubscribers(gossipTopic).length === 1);
  const inside = raw.services.pubsub as unknown as { sendRpc(to: string, rpc: object): boolean };
  const { sendRpc } = inside;
  const sent: object[] = [];
  inside.sendRpc = (to, rpc) => {
    sent.push(rpc);
    return sendRpc.call(inside, to, rpc);
  };
  let verified = 0;
  keys.verify = function counted(this: unknown, ...given) {
    verified++;
    return verify.apply(this, given);
  };
  closeWith(() => Object.assign(keys, { verify }));
  await raw.services.pubsub.publish(gossipTopic, bytes('once'));
  await until('heard', () => heardByGossip(node, 'once'));
  const original = sent.findLast((rpc) => 'messages' in rpc && (rpc.messages as unknown[]).length > 0);
  for (let i = 0; i < 50; i++) sendRpc.call(inside, node.peerId, original!);
  await raw.services.pubsub.publish(gossipTopic, bytes('last'));
  await until('heard after them', () => heardByGossip(node, 'last'));
  equal(verified, 2);
  equal(node.heard.length, 2);
});

test('a forged copy that comes first keeps nobody from hearing what its author signed', async () => {
  const { ours: node, raw } = await met();
  await until('gossip stands', () => raw.services.pubsub.getSubscribers(gossipTopic).length === 1);
  const inside = raw.services.pubsub as unknown as { sendRpc(to: string, rpc: Rpc): boolean };
  const { sendRpc } = inside;
  inside.sendRpc = (to, rpc) => {
    const forged = rpc.messages?.map((message) => ({ ...message, data: bytes('forged') })) ?? [];
    if (forged.length > 0) sendRpc.call(inside, to, { ...rpc, messages: forged });
    return sendRpc.call(inside, to, rpc);
  };
  await raw.services.pubsub.publish(gossipTopic, bytes('signed'));
  await until('heard', () => heardByGossip(node, 'signed'));
  equal(node.heard.length, 1);
});

type Rpc = { readonly messages?: readonly { readonly data?: Uint8Array }[] };

test('hundreds of dials wait at once, and none is turned away for their number', async () => {
  const node = await ours();
  const host = '127.0.0.1';
  // Nobody listens there.
  const dials = Array.from({ length: 600 }, async () => {
    const peerId = peerIdFromPrivateKey(await generateKeyPair('Ed25519')).toString();
    return node.network.dial({ peerId, address: { host, port: 1 } }, soon());
  });
  const failures = (await Promise.allSettled(dials)).map((dial) => dial.status === 'rejected' && dial.reason);
  deepEqual([...new Set(failures.map((failure) => (failure as Failure).kind))], ['missing']);
});

test('what is sent on the direct stream arrives from the first word on, while gossip goes nowhere', async () => {
  const raw = await startRaw();
  await raw.unhandle(raw.services.pubsub.protocols);
  const node = await ours();
  const { stream } = await met({ ours: node, raw });
  node.network.gossip(bytes('to nobody'));
  stream.send(Buffer.concat([Uint8Array.of(0, 0, 0, 5), bytes('first')]));
  await until('heard', () => node.heard.some(({ text, via }) => text === 'first' && via === 'direct'));
});

test('what closes without an error is told in words', () => {
  const address = { host: '127.0.0.1', port: 1 };
  const told = (error: unknown): string => dialFailure('peer', address, error).message;
  equal(told(new StreamCloseEvent()), 'dial peer at 127.0.0.1:1: denied: close');
  equal(told(new StreamCloseEvent(true, new Error('reset'))), 'dial peer at 127.0.0.1:1: denied: reset');
});

test('a node has room for two connections with each of a thousand members', async () => {
  const { components } = (await startRaw()) as unknown as {
    components: { connectionManager: { getMaxConnections(): number } };
  };
  ok(components.connectionManager.getMaxConnections() >= 2_000);
});

test('a node alone may gossip to nobody', async () => {
  const node = await ours();
  node.network.gossip(bytes('anybody there'));
  await dial(await ours(), node);
  deepEqual(node.refused, []);
});

test('no source waits by onDrain, which works once a stream, and none wraps connections in pnet', () => {
  const folder = join(import.meta.dirname, '../../src/libp2p');
  for (const file of readdirSync(folder)) {
    const source = readFileSync(join(folder, file), 'utf8');
    ok(!/\.onDrain\(|connectionProtector|pnet/.test(source), file);
  }
});
