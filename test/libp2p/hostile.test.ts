import { deepEqual, match } from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import type { Libp2p, Stream } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { directProtocol } from '../../src/libp2p/direct.ts';
import { gossipTopic } from '../../src/libp2p/node.ts';
import { bytes, soon, startPeer, until, type Peer } from './peers.ts';
import { closeRaw, closeWith, met, startRaw } from './raw.ts';

afterEach(closeRaw);

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

test('a defect of ours costs the message that meets it, and neither the peer nor what came with it', async () => {
  const { ours, raw, stream } = await met();
  ours.onMessage = (text) => {
    if (text === 'bad') throw new Error('a defect');
  };
  stream.send(Buffer.concat([frame(3, bytes('bad')), frame(4, bytes('next'))]));
  await until('heard', () => ours.heard.length === 1);
  const { pubsub } = raw.services;
  await until('gossip stands', () => pubsub.getSubscribers(gossipTopic).length === 1);
  for (const text of ['bad', 'last']) await pubsub.publish(gossipTopic, bytes(text));
  await until('gossip heard', () => ours.heard.length === 2 && ours.stumbled.length === 2);
  const peerId = raw.peerId.toString();
  deepEqual(ours.stumbled, [`${peerId} a defect`, `${peerId} a defect`]);
  deepEqual(
    ours.heard.map(({ text }) => text),
    ['next', 'last'],
  );
  deepEqual([ours.links, ours.refused], [[`+${peerId}`], []]);
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
  await Promise.allSettled([again.newStream(directProtocol, { signal: soon() })]);
  await dropped(ours, raw);
  match(ours.refused.join(), /second direct stream/);
});

test('a peer that never takes our direct stream never counts as connected', async () => {
  const ours = await startPeer();
  closeWith(() => ours.network.close());
  const raw = await startRaw();
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
