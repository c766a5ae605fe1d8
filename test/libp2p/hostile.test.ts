import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { generateKeyPair } from '@libp2p/crypto/keys';
import type { Connection, Libp2p, Stream } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { createNode, gossipTopic, type Services } from '../../src/libp2p/node.ts';
import { bytes, soon, startPeer, until, type Peer } from './peers.ts';

const protocol = '/synkti/direct/1';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  await Promise.all(closers.splice(0).map((close) => close()));
});

/** One of ours, and a libp2p node that was let in but follows no rule of ours; `stream` is its direct stream to us. */
async function met(): Promise<{ ours: Peer; raw: Libp2p<Services>; connection: Connection; stream: Stream }> {
  const ours = await startPeer();
  const raw = await createNode({
    privateKey: await generateKeyPair('Ed25519'),
    listen: multiaddr('/ip4/127.0.0.1/tcp/0'),
    version: '0.0.0',
    gater: {},
    onFlood: () => {},
  });
  await raw.handle(protocol, () => {});
  await raw.start();
  closers.push(
    () => ours.network.close(),
    () => raw.stop(),
  );
  const { host, port } = ours.address;
  const connection = await raw.dial(multiaddr(`/ip4/${host}/tcp/${port}`), { signal: soon() });
  const stream = await connection.newStream(protocol, { signal: soon(), maxOutboundStreams: 8 });
  await until('connected', () => ours.links.length === 1);
  return { ours, raw, connection, stream };
}

const dropped = (ours: Peer, raw: Libp2p): Promise<number> =>
  until('dropped', () => ours.links.at(-1) === `-${raw.peerId.toString()}`);

function frame(length: number, body: Uint8Array): Uint8Array {
  const header = Buffer.alloc(4);
  header.writeUInt32BE(length);
  return Buffer.concat([header, body]);
}

test('frames are put together from whatever pieces they come in', async () => {
  const { ours, stream } = await met();
  const wire = Buffer.concat([frame(5, bytes('first')), frame(6, bytes('second')), frame(3, bytes('end'))]);
  for (const byte of wire) stream.send(Uint8Array.of(byte));
  await until('all heard', () => ours.heard.length === 3);
  deepEqual(
    ours.heard.map(({ text }) => text),
    ['first', 'second', 'end'],
  );
});

test('a frame that announces more than the limit drops the peer before anything of it is kept', async () => {
  const { ours, raw, stream } = await met();
  stream.send(frame(65_537, bytes('x')));
  await dropped(ours, raw);
  match(ours.refused.join(), /sent what is no message/);
  deepEqual(ours.heard, []);
});

test('a peer that closes or aborts its direct stream is disconnected, not half connected', async () => {
  const abort = (stream: Stream): Promise<void> => Promise.resolve(stream.abort(new Error('gone')));
  for (const end of [(stream: Stream) => stream.close(), abort]) {
    const { ours, raw, stream } = await met();
    await end(stream);
    await dropped(ours, raw);
  }
});

test('a second direct stream means that one side lost track: the peer is dropped', async () => {
  const { ours, raw } = await met();
  const { host, port } = ours.address;
  const again = await raw.dial(multiaddr(`/ip4/${host}/tcp/${port}`), { signal: soon(), force: true });
  await Promise.allSettled([again.newStream(protocol, { signal: soon() })]);
  await dropped(ours, raw);
  match(ours.refused.join(), /second direct stream/);
});

test('a peer that never takes our direct stream never counts as connected', async () => {
  const ours = await startPeer();
  const raw = await createNode({
    privateKey: await generateKeyPair('Ed25519'),
    listen: multiaddr('/ip4/127.0.0.1/tcp/0'),
    version: '0.0.0',
    gater: {},
    onFlood: () => {},
  });
  await raw.start();
  closers.push(
    () => ours.network.close(),
    () => raw.stop(),
  );
  const connection = await raw.dial(multiaddr(`/ip4/127.0.0.1/tcp/${ours.address.port}`), { signal: soon() });
  await until('cut', () => connection.status !== 'open');
  deepEqual(ours.links, []);
});

test('gossip of another topic, unsigned by its author or overlong is not heard', async () => {
  const { ours, raw } = await met();
  const { pubsub } = raw.services;
  await until('gossip stands', () => pubsub.getSubscribers(gossipTopic).length === 1);
  await pubsub.publish('/other/topic', bytes('elsewhere'));
  await pubsub.publish(gossipTopic, new Uint8Array(65_537));
  await pubsub.publish(gossipTopic, bytes('as it should be'));
  await until('heard', () => ours.heard.length > 0);
  deepEqual(ours.heard, [{ author: raw.peerId.toString(), text: 'as it should be', via: 'gossip' }]);
});

test('gossip that broke on a standing connection is noticed, and the peer dropped so that it comes back', async () => {
  const { ours, raw, connection } = await met();
  await until('gossip stands', () => raw.services.pubsub.getSubscribers(gossipTopic).length === 1);
  let heartbeats = 0;
  raw.services.pubsub.addEventListener('gossipsub:heartbeat', () => heartbeats++);
  await until('it stood for a while', () => heartbeats > 2);
  await raw.unhandle(raw.services.pubsub.protocols);
  const gossip = connection.streams.filter(
    ({ direction, protocol: name }) => direction === 'inbound' && /meshsub/.test(name),
  );
  equal(gossip.length, 1);
  for (const stream of gossip) stream.abort(new Error('broken'));
  const tookMs = await dropped(ours, raw);
  ok(tookMs > 1_000, 'not while it may still be on its way');
  match(ours.refused.join(), /takes no gossip/);
});
