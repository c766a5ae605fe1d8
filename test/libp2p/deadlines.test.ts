/** Who accepts and then says nothing, at each step on the way to being connected, by a clock that tests move. */
import { deepEqual, equal, match } from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { generateKeyPair } from '@libp2p/crypto/keys';
import type { Stream } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { createNode } from '../../src/libp2p/node.ts';
import { startPeer, until, type Peer } from './peers.ts';
import { closeRaw, closeWith, met, startRaw } from './raw.ts';

/** Every deadline of libp2p and ours is a signal of this kind. */
class Deadlines {
  #now = 0;
  #armed: { readonly at: number; readonly end: AbortController }[] = [];

  arm(ms: number): AbortSignal {
    const end = new AbortController();
    this.#armed.push({ at: this.#now + ms, end });
    return end.signal;
  }

  /** How many are `ms` away. */
  away(ms: number): number {
    return this.#armed.filter(({ at }) => at === this.#now + ms).length;
  }

  pass(ms: number): void {
    this.#now += ms;
    const due = this.#armed.filter(({ at }) => at <= this.#now);
    this.#armed = this.#armed.filter(({ at }) => at > this.#now);
    for (const { end } of due) end.abort(new DOMException('late', 'TimeoutError'));
  }
}

let deadlines: Deadlines;
beforeEach(() => {
  deadlines = new Deadlines();
  mock.method(AbortSignal, 'timeout', (ms: number) => deadlines.arm(ms));
});
afterEach(async () => {
  mock.restoreAll();
  await closeRaw();
});

/** A turn for whatever is under way; what it does to a socket is seen by the other end. */
const settle = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
};

async function ours({ gossips = true } = {}): Promise<Peer> {
  const peer = await startPeer('127.0.0.1', 0, gossips);
  closeWith(() => peer.network.close());
  return peer;
}

/** Goes on until so many deadlines are `ms` away: `what` is not over 1 ms before them, and is then. */
async function endsAfter(ms: number, what: Promise<unknown>, count = 1): Promise<void> {
  let isOver = false;
  void what.finally(() => (isOver = true)).catch(() => undefined);
  await until('deadlines are set', () => deadlines.away(ms) === count, 5_000);
  deadlines.pass(ms - 1);
  await settle();
  equal(isOver, false);
  deadlines.pass(1);
  await until('it is over', () => isOver, 5_000);
}

const patient = new AbortController().signal;

test('a dial of a port that accepts and says nothing ends after five seconds', async () => {
  const peer = await ours();
  const mute = createServer(() => undefined).listen(0, '127.0.0.1');
  closeWith(() => mute.close());
  await once(mute, 'listening');
  const accepted = once(mute, 'connection');
  const { port } = mute.address() as AddressInfo;
  const { peerId } = await ours();
  const dial = peer.network.dial({ peerId, address: { host: '127.0.0.1', port } }, patient);
  await accepted;
  await endsAfter(5_000, dial);
  const error = await dial.catch((error: Error) => error.message);
  match(String(error), /: late/);
});

test('one that connects and says nothing is cut after ten seconds', async () => {
  const { address } = await ours();
  const socket = connect(address.port, '127.0.0.1');
  closeWith(() => socket.destroy());
  await endsAfter(10_000, once(socket.resume(), 'close'));
});

test('a peer that says nothing once its key is proven is given up after five seconds', async () => {
  const peer = await ours();
  const mute = await createNode({
    privateKey: await generateKeyPair('Ed25519'),
    ...{ listen: multiaddr('/ip4/127.0.0.1/tcp/0'), version: '0.0.0' },
    gater: { denyInboundEncryptedConnection: () => new Promise<boolean>(() => undefined) },
    ...{ allowanceOf: () => ({ spend: () => true }), onFlood: () => undefined },
  });
  await mute.start();
  closeWith(() => mute.stop());
  const port = Number(/tcp\/(\d+)/.exec(String(mute.getMultiaddrs()[0]))![1]);
  const peerId = mute.peerId.toString();
  const dial = peer.network.dial({ peerId, address: { host: '127.0.0.1', port } }, patient);
  // That of the dial, and that of the stream.
  await endsAfter(5_000, dial, 2);
  const error = await dial.catch((error: Error) => error.message);
  match(String(error), /denied: takes no direct stream/);
  deepEqual(peer.links, []);
});

type Muxed = { readonly muxer: { createStream(): Promise<Stream> } };

test('a stream on which no protocol is asked for is reset after five seconds, and its connection stands', async () => {
  const { connection, ours: peer } = await met({
    ours: await ours({ gossips: false }),
    raw: await startRaw(),
  });
  deadlines.pass(60_000);
  const stream = await (connection as unknown as Muxed).muxer.createStream();
  await endsAfter(5_000, new Promise((resolve) => stream.addEventListener('close', resolve)));
  equal(connection.status, 'open');
  equal(peer.links.length, 1);
});
