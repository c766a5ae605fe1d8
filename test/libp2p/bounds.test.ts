/** What one admitted peer can cost us, whatever it does: bounded memory, bounded work, and the others unharmed. */
import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { connect, type Socket } from 'node:net';
import { afterEach, test } from 'node:test';
import type { Connection, Stream } from '@libp2p/interface';
import { gossipTopic } from '../../src/libp2p/node.ts';
import { draw, type Rng } from '../../src/std/random.ts';
import { bytes, dial, startPeer, until, type Peer } from './peers.ts';
import { closeRaw, closeWith, met, startRaw, type Raw } from './raw.ts';

afterEach(closeRaw);

/** Of a connection, what only tests reach into. */
type Muxer = {
  sendPing(id: number): void;
  handlePingResponse(id: number): void;
  maxOutboundStreams: number;
  createStream(): Promise<Stream>;
  readonly maConn: { send(data: Uint8Array): boolean; readonly stream: { send(data: Uint8Array): boolean } };
};
/** Of gossipsub, likewise. */
type Inside = {
  handleReceivedRpc(from: unknown, rpc: { messages: readonly unknown[] }): Promise<void>;
  sendRpc(to: string, rpc: object): boolean;
  readonly streamsInbound: ReadonlyMap<string, unknown>;
  readonly topics: ReadonlyMap<string, unknown>;
};
const muxerOf = (connection: Connection): Muxer => (connection as unknown as { muxer: Muxer }).muxer;

function randomBytes({ rng, length }: { rng: Rng; length: number }): Uint8Array {
  let next = rng;
  return Uint8Array.from({ length }, () => {
    const [byte, after] = draw(next, 256);
    next = after;
    return byte;
  });
}

/** The head of a frame for this stream that promises as many bytes as follow. */
function data(stream: Stream, body: Uint8Array): Uint8Array {
  const header = Buffer.alloc(12);
  header.writeUInt32BE(Number(stream.id), 4);
  header.writeUInt32BE(body.byteLength, 8);
  return header;
}

type GossipStream = { push(data: Uint8Array): void; readonly rawStream: Stream };
const gossipStream = (raw: Raw, node: Peer): GossipStream =>
  (raw.services.pubsub as unknown as { streamsOutbound: Map<string, GossipStream> }).streamsOutbound.get(
    node.peerId,
  )!;

const gone = (node: Peer, raw: Raw): Promise<number> =>
  until('gone', () => node.links.at(-1) === `-${raw.peerId.toString()}`);

function sockets(): Set<Socket> {
  const made = new Set<Socket>();
  const collect = (message: unknown): void => void made.add((message as { socket: Socket }).socket);
  for (const channel of ['net.client.socket', 'net.server.socket']) {
    subscribe(channel, collect);
    closeWith(() => unsubscribe(channel, collect));
  }
  return made;
}

async function another(node: Peer): Promise<Peer> {
  const peer = await startPeer();
  closeWith(() => peer.network.close());
  await dial(peer, node);
  await until('the other one is in', () => node.links.includes(`+${peer.peerId}`));
  return peer;
}

/** What is neither held up nor broken off takes less on a machine that stands still for some seconds, ms. */
const soonMs = 15_000;

/** Whatever the hostile one does meanwhile, a message of another peer comes through, soon. */
async function unharmed(node: Peer, other: Peer): Promise<void> {
  ok(other.network.send(node.peerId, bytes('unharmed')));
  const tookMs = await until('the other one is heard', () =>
    node.heard.some(({ text }) => text === 'unharmed'),
  );
  ok(tookMs < soonMs, `${tookMs} ms`);
  ok(!node.links.includes(`-${other.peerId}`));
}

test('a small message is one write of 43 bytes, and asks for no answer', async () => {
  const made = sockets();
  const { ours: node, raw } = await met();
  await until('gossip stands', () => raw.services.pubsub.getSubscribers(gossipTopic).length === 1);
  let quiet = 0;
  let last = -1;
  const written = (): number => [...made].reduce((sum, { bytesWritten }) => sum + bytesWritten, 0);
  await until('all else is said', () => {
    quiet = written() === last ? quiet + 1 : 0;
    last = written();
    return quiet > 50;
  });
  let writes = 0;
  for (const socket of made) {
    const { write } = socket;
    socket.write = ((...given: Parameters<Socket['write']>) => {
      writes++;
      return write.apply(socket, given);
    }) as Socket['write'];
  }
  let heard = 0;
  for (let i = 1; i <= 20; i++) {
    ok(node.network.send(raw.peerId.toString(), new Uint8Array(9)));
    await new Promise((resolve) => setImmediate(resolve));
    heard = i;
  }
  await until('sent', () => written() - last >= heard * 43);
  deepEqual([writes, written() - last], [20, 20 * 43]);
});

test('no socket closes for silence', async () => {
  const made = sockets();
  await met();
  ok(made.size >= 2);
  for (const { timeout } of made) equal(timeout ?? 0, 0);
});

test('a frame that announces gigabytes ends the connection before it is collected', async () => {
  const { ours: node, raw, connection, stream } = await met();
  const header = Buffer.alloc(12);
  header.writeUInt32BE(Number(stream.id), 4);
  header.writeUInt32BE(0xffff_ffff, 8);
  muxerOf(connection).maConn.send(header);
  await gone(node, raw);
});

test('garbage in place of a frame ends the connection and nothing else', async () => {
  const { ours: node, raw, connection } = await met();
  const other = await another(node);
  muxerOf(connection).maConn.send(Buffer.alloc(64, 0xff));
  await gone(node, raw);
  await unharmed(node, other);
});

test('pings without end end the connection, and the peer is not let in again at once', async () => {
  const { ours: node, raw, connection } = await met();
  const other = await another(node);
  const muxer = muxerOf(connection);
  muxer.handlePingResponse = () => {};
  // As many as it takes: the slower we are, the more of them are allowed.
  for (let i = 0; i < 200_000 && connection.status === 'open'; i++) {
    muxer.sendPing(i);
    if (i % 500 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await gone(node, raw);
  match(node.refused.join(), /sends more than we take/);
  await unharmed(node, other);
  await rejects(met({ ours: node, raw }));
});

function frames(count: number, size: number): Uint8Array {
  const one = new Uint8Array(4 + size);
  new DataView(one.buffer).setUint32(0, size);
  return Buffer.concat(Array.from({ length: count }, () => one));
}

async function pour(stream: Stream, chunk: Uint8Array, times: number): Promise<void> {
  for (let i = 0; i < times && stream.writeStatus === 'writable'; i++) {
    stream.send(chunk);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test('a burst of small messages is heard, a flood of them ends the connection', async () => {
  const { ours: node, raw, stream } = await met();
  const other = await another(node);
  stream.send(frames(1_500, 9));
  await until('the burst is heard', () => node.heard.length === 1_500);
  await pour(stream, frames(1_000, 9), 10);
  await gone(node, raw);
  ok(node.heard.length < 2_500, `${node.heard.length}`);
  match(node.refused.join(), /sends more than we take/);
  await unharmed(node, other);
});

test('messages of the largest size without end end the connection', async () => {
  const { ours: node, raw, stream } = await met();
  await pour(stream, frames(1, 65_536), 400);
  await gone(node, raw);
  ok(node.heard.length < 200, `${node.heard.length}`);
});

test('a flood of gossip, of subscriptions or of garbage in their place ends the connection', async () => {
  const node = await startPeer();
  closeWith(() => node.network.close());
  const other = await another(node);
  const rpcs: readonly object[] = [
    {
      messages: Array.from({ length: 200 }, () => ({
        topic: gossipTopic,
        data: new Uint8Array(64),
        from: new Uint8Array(38),
        seqno: new Uint8Array(8),
        signature: new Uint8Array(64),
      })),
    },
    {
      messages: [],
      subscriptions: Array.from({ length: 8 }, (_, i) => ({ topic: `/made/up/${i}`, subscribe: true })),
    },
    {
      messages: [],
      control: {
        ihave: [{ topicID: gossipTopic, messageIDs: Array.from({ length: 900 }, () => new Uint8Array(16)) }],
        iwant: [],
        graft: [],
        prune: [],
        idontwant: [],
      },
    },
  ];
  for (const rpc of rpcs) {
    const raw = await startRaw();
    await met({ ours: node, raw });
    await until('gossip stands', () => raw.services.pubsub.getSubscribers(gossipTopic).length === 1);
    const inside = raw.services.pubsub as unknown as Inside;
    for (let i = 0; i < 2_000 && node.links.at(-1)?.startsWith('+'); i++) {
      inside.sendRpc(node.peerId, rpc);
      if (i % 4 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await gone(node, raw);
  }
  equal(node.refused.filter((why) => why.includes('sends more than we take')).length, rpcs.length);
  deepEqual(node.heard, []);
  await unharmed(node, other);
});

test('of the streams that a peer opens and leaves so, only a few stand, and the others take no harm', async () => {
  const { ours: node, raw, connection } = await met();
  const other = await another(node);
  await until('gossip stands', () => raw.services.pubsub.getSubscribers(gossipTopic).length === 1);
  const muxer = muxerOf(connection);
  muxer.maxOutboundStreams = 1_000;
  const opened = await Promise.all(Array.from({ length: 100 }, () => muxer.createStream()));
  const standing = (): number => opened.filter(({ status }) => status === 'open').length;
  await until('most are reset', () => standing() <= 16, soonMs);
  await unharmed(node, other);
  ok(!node.links.includes(`-${raw.peerId.toString()}`));
});

test('topics of others are not kept', async () => {
  const { raw, connection } = await met();
  const another = await startRaw();
  await another.dial(raw.getMultiaddrs());
  await until('gossip stands', () =>
    (raw.services.pubsub as unknown as Inside).streamsInbound.has(another.peerId.toString()),
  );
  raw.services.pubsub.subscribe(gossipTopic);
  for (let i = 0; i < 7; i++) another.services.pubsub.subscribe(`/made/up/${i}`);
  another.services.pubsub.subscribe(gossipTopic);
  await until('ours is known', () => raw.services.pubsub.getSubscribers(gossipTopic).length === 2);
  deepEqual([...(raw.services.pubsub as unknown as Inside).topics.keys()], [gossipTopic]);
  equal(connection.status, 'open');
});

test('what another said is heard once, however often a neighbour repeats it', async () => {
  const author = await startRaw();
  const { ours: node, raw } = await met();
  const { pubsub } = raw.services;
  const inside = pubsub as unknown as Inside;
  const { handleReceivedRpc } = inside;
  const received: { messages: readonly unknown[] }[] = [];
  inside.handleReceivedRpc = (from, rpc) => {
    received.push(rpc);
    return handleReceivedRpc.call(inside, from, rpc);
  };
  pubsub.subscribe(gossipTopic);
  await author.dial(raw.getMultiaddrs());
  await until('gossip stands', () => pubsub.getSubscribers(gossipTopic).length === 1);
  await until('and there', () => author.services.pubsub.getSubscribers(gossipTopic).length === 1);
  await author.services.pubsub.publish(gossipTopic, bytes('said once'));
  await until('relayed', () => node.heard.length > 0);
  const said = received.find(({ messages }) => messages.length > 0);
  for (let i = 0; i < 100; i++) inside.sendRpc(node.peerId, said!);
  await pubsub.publish(gossipTopic, bytes('after it'));
  await until('heard after it', () => node.heard.some(({ text }) => text === 'after it'));
  deepEqual(
    node.heard.map(({ author: who, text }) => [who, text]),
    [
      [author.peerId.toString(), 'said once'],
      [raw.peerId.toString(), 'after it'],
    ],
  );
});

test('random bytes on any layer end at most the connection that they came by', async () => {
  const node = await startPeer();
  closeWith(() => node.network.close());
  const other = await another(node);
  const layers: readonly ((
    connection: Connection,
    stream: Stream,
    raw: Raw,
    noise: Uint8Array,
  ) => unknown)[] = [
    (connection, _stream, _raw, noise) => muxerOf(connection).maConn.send(noise),
    (connection, _stream, _raw, noise) => muxerOf(connection).maConn.stream.send(noise),
    (connection, stream, _raw, noise) =>
      muxerOf(connection).maConn.send(Buffer.concat([data(stream, noise), noise])),
    (_connection, stream, _raw, noise) => stream.send(noise),
    (_connection, _stream, raw, noise) => gossipStream(raw, node).push(noise),
    (_connection, _stream, raw, noise) => gossipStream(raw, node).rawStream.send(noise),
  ];
  for (const [i, layer] of layers.entries()) {
    for (let seed = 0; seed < 8; seed++) {
      const raw = await startRaw();
      const { connection, stream } = await met({ ours: node, raw });
      await until('gossip stands', () => raw.services.pubsub.getSubscribers(gossipTopic).length === 1);
      layer(connection, stream, raw, randomBytes({ rng: { seed: i * 100 + seed }, length: 1 + seed * 37 }));
      ok(other.network.send(node.peerId, bytes(`still here ${i} ${seed}`)));
      await until('unharmed', () => node.heard.at(-1)?.text === `still here ${i} ${seed}`);
      await raw.stop();
    }
  }
  ok(!node.links.includes(`-${other.peerId}`));
  const socket = connect(node.address.port, '127.0.0.1', () =>
    socket.end(randomBytes({ rng: { seed: 1 }, length: 999 })),
  );
  await new Promise((resolve) => socket.on('error', resolve).on('close', resolve));
  await unharmed(node, other);
});

test('connections that never finish a handshake keep nobody out', async () => {
  const node = await startPeer();
  closeWith(() => node.network.close());
  const mute = Array.from({ length: 60 }, () => connect(node.address.port, '127.0.0.1'));
  closeWith(() => mute.forEach((socket) => socket.destroy()));
  await until('all stand', () => mute.every(({ readyState }) => readyState === 'open'));
  await unharmed(node, await another(node));
});

test('a thousand probes, each reset at once, keep nobody out', async () => {
  const node = await startPeer();
  closeWith(() => node.network.close());
  for (let i = 0; i < 1_000; i += 50) {
    const probes = Array.from({ length: 50 }, () => {
      const socket = connect(node.address.port, '127.0.0.1', () => socket.resetAndDestroy());
      return socket.on('error', () => {});
    });
    await until('all over', () => probes.every(({ destroyed }) => destroyed));
  }
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  await unharmed(node, await another(node));
});
