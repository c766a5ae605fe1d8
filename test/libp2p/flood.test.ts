/** What one sealed message can hold thousands of, and what a stranger can ask before it is anybody. */
import { deepEqual, match, ok, rejects } from 'node:assert/strict';
import { connect } from 'node:net';
import { afterEach, test } from 'node:test';
import type { Connection, ConnectionEncrypter } from '@libp2p/interface';
import { noise } from '@libp2p/noise';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import { directProtocol } from '../../src/libp2p/direct.ts';
import { bytes, dial, dialAgain, soon, startPeer, until, type Peer } from './peers.ts';
import { closeRaw, closeWith, met } from './raw.ts';

afterEach(closeRaw);

/** Of a connection, what only tests reach into. */
type Muxer = {
  handleFrame(frame: {
    readonly header: { readonly type: number; readonly flag: number; readonly streamID: number };
  }): void;
  readonly maConn: { send(data: Uint8Array): boolean };
};
const muxerOf = (connection: Connection): Muxer => (connection as unknown as { muxer: Muxer }).muxer;

const type = { data: 0, windowUpdate: 1, ping: 2 };
const flag = { none: 0, open: 1, answer: 2, reset: 8 };

function frame({ type, flag, id, value }: Record<'type' | 'flag' | 'id' | 'value', number>): Uint8Array {
  const header = Buffer.alloc(12);
  header[1] = type;
  header.writeUInt16BE(flag, 2);
  header.writeUInt32BE(id, 4);
  header.writeUInt32BE(value, 8);
  return header;
}

const many = (count: number, one: (i: number) => Uint8Array): Uint8Array =>
  Buffer.concat(Array.from({ length: count }, (_, i) => one(i)));

/** Of the side that dialled, and used by nobody else. */
const idOf = (i: number): number => 100_001 + 2 * i;

/** What the peer is answered by: frames of this type that set this flag. */
function counted(muxer: Muxer, kind: { readonly type: number; readonly flag: number }): () => number {
  let count = 0;
  muxer.handleFrame = ({ header }) => {
    if (header.type === kind.type && (header.flag & kind.flag) !== 0) count++;
  };
  return () => count;
}

const floods: readonly {
  readonly of: string;
  readonly flood: (streamId: number) => Uint8Array;
  /** What each of it is answered by, and how many answers are far fewer than what was asked. */
  readonly answers?: { readonly type: number; readonly flag: number; readonly max: number };
}[] = [
  {
    of: 'pings',
    flood: () => many(20_000, (i) => frame({ type: type.ping, flag: flag.open, id: 0, value: i })),
    answers: { type: type.ping, flag: flag.answer, max: 2_000 },
  },
  {
    of: 'streams opened and reset at once',
    flood: () =>
      many(5_000, (i) =>
        Buffer.concat([
          frame({ type: type.windowUpdate, flag: flag.open, id: idOf(i), value: 0 }),
          frame({ type: type.windowUpdate, flag: flag.reset, id: idOf(i), value: 0 }),
        ]),
      ),
  },
  {
    of: 'streams beyond those that may stand',
    flood: () =>
      many(5_000, (i) => frame({ type: type.windowUpdate, flag: flag.open, id: idOf(i), value: 0 })),
    answers: { type: type.windowUpdate, flag: flag.reset, max: 2_000 },
  },
  {
    of: 'window updates',
    flood: (id) => many(100_000, () => frame({ type: type.windowUpdate, flag: flag.none, id, value: 1 })),
  },
  {
    of: 'empty frames',
    flood: (id) => many(100_000, () => frame({ type: type.data, flag: flag.none, id, value: 0 })),
  },
  {
    of: 'frames for no stream',
    flood: () =>
      many(100_000, () => frame({ type: type.windowUpdate, flag: flag.none, id: 99_999, value: 1 })),
  },
];

for (const { of, flood, answers } of floods) {
  test(`a flood of ${of} in few messages ends the connection, and others are heard`, async () => {
    const { ours: node, raw, connection, stream } = await met();
    const other = await startPeer();
    closeWith(() => other.network.close());
    await dial(other, node);
    await until('the other one is in', () => node.links.includes(`+${other.peerId}`));
    const muxer = muxerOf(connection);
    const answered = counted(muxer, answers ?? { type: 0, flag: 0 });
    muxer.maConn.send(flood(Number(stream.id)));
    await until('gone', () => node.links.includes(`-${raw.peerId.toString()}`));
    match(node.refused.join(), /sends more than we take/);
    ok(answered() <= (answers?.max ?? 0), `${answered()} answers`);
    ok(other.network.send(node.peerId, bytes('unharmed')));
    await until('the other one is heard', () => node.heard.some(({ text }) => text === 'unharmed'));
    ok(!node.links.includes(`-${other.peerId}`));
  });
}

test('a stream on which one protocol after another is asked for is answered a few times', async () => {
  const { ours: node, raw, connection } = await met();
  const muxer = muxerOf(connection);
  let answered = 0;
  let isReset = false;
  const { handleFrame } = muxer;
  muxer.handleFrame = (received) => {
    const { header } = received;
    if (header.streamID !== idOf(0)) return handleFrame.call(muxer, received);
    if (header.type === type.data) answered++;
    isReset ||= (header.flag & flag.reset) !== 0;
  };
  const questions = many(5_000, () => bytes('\u0003ls\n'));
  muxer.maConn.send(
    Buffer.concat([
      frame({ type: type.windowUpdate, flag: flag.open, id: idOf(0), value: 0 }),
      frame({ type: type.data, flag: flag.none, id: idOf(0), value: questions.byteLength }),
      questions,
    ]),
  );
  await until('reset', () => isReset);
  ok(answered <= 4, `${answered} answers`);
  deepEqual(node.links, [`+${raw.peerId.toString()}`]);
});

test('a stranger that asks for one protocol after another is answered a few times', async () => {
  const node = await startPeer();
  closeWith(() => node.network.close());
  const socket = connect(node.address.port, '127.0.0.1');
  closeWith(() => socket.destroy());
  let answered = '';
  socket.setEncoding('utf8').on('data', (text: string) => (answered += text));
  socket.on('error', () => {});
  socket.write(many(5_000, () => bytes('\u0003ls\n')));
  await until('closed', () => socket.destroyed);
  ok(answered.split('/noise').length - 1 <= 4, `${answered.length} bytes`);
});

test('a peer that leaves its muxer to be asked for after the handshake is not let in', async () => {
  const node = await startPeer();
  closeWith(() => node.network.close());
  type Components = Parameters<ReturnType<typeof noise>>[0];
  const withoutMuxers = (components: Components): ConnectionEncrypter => {
    let isOffer = true;
    const getStreamMuxers = (): ReturnType<Components['upgrader']['getStreamMuxers']> => {
      const muxers = isOffer ? new Map() : components.upgrader.getStreamMuxers();
      isOffer = false;
      return muxers;
    };
    const { privateKey, logger, peerId } = components;
    const encrypter = noise()({
      privateKey,
      peerId,
      logger,
      upgrader: { getStreamMuxers } as Components['upgrader'],
    });
    const { secureOutbound } = encrypter;
    encrypter.secureOutbound = async (...given) => {
      const { streamMuxer: _, ...secured } = await secureOutbound.apply(encrypter, given);
      return secured;
    };
    return encrypter;
  };
  const other = await createLibp2p({
    transports: [tcp()],
    connectionEncrypters: [withoutMuxers],
    streamMuxers: [yamux()],
  });
  closeWith(() => other.stop());
  await other.handle(directProtocol, () => {});
  await rejects(other.dial(multiaddr(`/ip4/127.0.0.1/tcp/${node.address.port}`), { signal: soon() }));
  deepEqual(node.links, []);
});

const toldTo = ({ heard }: Peer): number => heard.filter(({ via }) => via === 'direct').length;
const authorsHeardBy = ({ heard }: Peer): number =>
  new Set(heard.filter(({ via }) => via === 'gossip').map(({ author }) => author)).size;

test('a full mesh that tells all it knows and gossips in bursts is no flood', async () => {
  const size = 32;
  const peers = await Promise.all(Array.from({ length: size }, () => startPeer()));
  closeWith(() => Promise.all(peers.map(({ network }) => network.close())));
  for (const [i, peer] of peers.entries())
    await Promise.all(peers.slice(0, i).map((earlier) => dialAgain(peer, earlier)));
  await until('all know all', () => peers.every(({ links }) => links.length >= size - 1));
  const record = new Uint8Array(700);
  for (let told = 0; told < 1_000; told += 100) {
    for (const [i, peer] of peers.entries())
      for (let j = 0; j < 100; j++) ok(peer.network.send(peers[(i + 1) % size]!.peerId, record));
    await until('told', () => peers.every((peer) => toldTo(peer) === told + 100));
  }
  let polls = 0;
  const burst = (): void => {
    for (const { network } of peers) for (let i = 0; i < 5; i++) network.gossip(bytes(`burst ${polls}`));
  };
  // Until the last gossip stream stands some are lost.
  await until('all are heard by all', () => {
    if (polls++ % 500 === 0) burst();
    return peers.every((peer) => authorsHeardBy(peer) === size - 1);
  });
  const refused = peers.flatMap((peer) => peer.refused.filter((why) => why.includes('more than we take')));
  deepEqual(refused, []);
});
