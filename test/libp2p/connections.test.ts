/** What one key may hold: however many connections it makes, the others find room, and it is counted as one. */
import { equal, match, ok } from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { generateKeyPair } from '@libp2p/crypto/keys';
import type { Connection } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { directProtocol } from '../../src/libp2p/direct.ts';
import { bytes, dial, soon, startPeer, until, type Peer } from './peers.ts';
import { closeRaw, closeWith, met, startRaw, type Raw } from './raw.ts';

afterEach(closeRaw);

const inTimeMs = 30_000;

/** One more connection, whatever stands already. */
const connectAgain = (raw: Raw, { address: { host, port } }: Peer): Promise<Connection> =>
  raw.dial(multiaddr(`/ip4/${host}/tcp/${port}`), { signal: soon(), force: true });

const standing = (connections: readonly Connection[]): number =>
  connections.filter(({ status }) => status === 'open').length;

test('of the connections that one key makes one after another two stand at most, the newest among them', async () => {
  const { ours: node, raw, connection } = await met();
  const made = [connection];
  for (let i = 0; i < 12; i++) made.push(await connectAgain(raw, node));
  await until('most are gone', () => standing(made) <= 2, inTimeMs);
  equal(made.at(-1)?.status, 'open');
  match(node.refused.join(), /made a third connection/);
});

test('of the connections that one key makes at once two stand at most, admitted or not, and another peer gets in', async () => {
  const node = await startPeer();
  closeWith(() => node.network.close());
  const raw = await startRaw();
  await raw.handle(directProtocol, () => {});
  const verdict = Promise.withResolvers<boolean>();
  let asked = 0;
  node.admit = () => {
    asked++;
    return verdict.promise;
  };
  const dials = Array.from({ length: 12 }, () => connectAgain(raw, node));
  const settled = Promise.allSettled(dials);
  await until('all asked to be let in', () => asked === dials.length, inTimeMs);
  node.admit = () => Promise.resolve(true);
  verdict.resolve(true);
  const made = (await settled).flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  await until('two stand at most', () => standing(made) <= 2, inTimeMs);
  ok(standing(made) > 0, 'the newest is let in');
  const other = await startPeer();
  closeWith(() => other.network.close());
  await dial(other, node);
  await until('the other one is in', () => node.links.includes(`+${other.peerId}`), inTimeMs);
});

test('a node that started again gets in while two connections of its former life still stand', async () => {
  const privateKey = await generateKeyPair('Ed25519');
  const former = await startRaw(privateKey);
  const { ours: node } = await met({ ours: await startPeer(), raw: former });
  closeWith(() => node.network.close());
  await connectAgain(former, node);
  const { connection, stream } = await met({ ours: node, raw: await startRaw(privateKey) });
  stream.send(Buffer.concat([Uint8Array.of(0, 0, 0, 5), bytes('again')]));
  await until('heard', () => node.heard.some(({ text }) => text === 'again'), inTimeMs);
  equal(connection.status, 'open');
  equal(node.links.at(-1), `+${former.peerId.toString()}`);
});

test('what comes by two connections of one key counts together, and too much of it ends both', async () => {
  const { ours: node, raw, connection } = await met();
  const both = [connection, await connectAgain(raw, node)];
  const muxers = both.map(
    (one) => (one as unknown as { muxer: { sendPing(id: number): void; handlePingResponse(): void } }).muxer,
  );
  for (const muxer of muxers) muxer.handlePingResponse = () => {};
  const since = performance.now();
  const tookMs = (): number => performance.now() - since;
  // Neither would be too much alone: 8,000 at once, and 1,000 more each second.
  for (let i = 0; standing(both) === 2 && tookMs() < inTimeMs; i++) {
    while (i > 7_500 + 0.9 * tookMs()) await new Promise((resolve) => setImmediate(resolve));
    for (const [k, muxer] of muxers.entries()) if (both[k]?.status === 'open') muxer.sendPing(i);
    if (i % 500 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await until('both are gone', () => standing(both) === 0, inTimeMs);
  match(node.refused.join(), /sends more than we take/);
  ok(node.links.includes(`-${raw.peerId.toString()}`));
});
