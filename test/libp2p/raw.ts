/** A libp2p node with the settings of ours that follows none of our rules, and may be looked into. */
import { generateKeyPair } from '@libp2p/crypto/keys';
import type { Connection, Libp2p, PrivateKey, Stream } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { directProtocol } from '../../src/libp2p/direct.ts';
import { beginGossip, endGossip } from '../../src/libp2p/gossip.ts';
import { createNode, type Services } from '../../src/libp2p/node.ts';
import { soon, startPeer, until, type Peer } from './peers.ts';

export type Raw = Libp2p<Services>;

const closers: (() => unknown)[] = [];
export const closeWith = (close: () => unknown): void => void closers.push(close);
export const closeRaw = async (): Promise<void> => {
  await Promise.all(closers.splice(0).map((close) => close()));
};

export async function startRaw(privateKey?: PrivateKey): Promise<Raw> {
  const raw = await createNode({
    privateKey: privateKey ?? (await generateKeyPair('Ed25519')),
    listen: multiaddr('/ip4/127.0.0.1/tcp/0'),
    version: '0.0.0',
    gater: {},
    allowanceOf: () => ({ spend: () => true }),
    onFlood: () => {},
  });
  raw.addEventListener('connection:open', ({ detail }) => beginGossip(raw.services.pubsub, detail));
  raw.addEventListener('peer:disconnect', ({ detail }) => endGossip(raw.services.pubsub, detail));
  await raw.start();
  closeWith(() => raw.stop());
  return raw;
}

type Met = {
  readonly ours: Peer;
  readonly raw: Raw;
  readonly connection: Connection;
  /** Its direct stream to us. */
  readonly stream: Stream;
};

/** One of ours that has let a raw one in. */
export async function met(given?: { readonly ours: Peer; readonly raw: Raw }): Promise<Met> {
  const { ours, raw } = given ?? { ours: await startPeer(), raw: await startRaw() };
  if (given === undefined) closeWith(() => ours.network.close());
  if (!raw.getProtocols().includes(directProtocol)) await raw.handle(directProtocol, () => {});
  const before = ours.links.length;
  const { host, port } = ours.address;
  const connection = await raw.dial(multiaddr(`/ip4/${host}/tcp/${port}`), { signal: soon() });
  const stream = await connection.newStream(directProtocol, { signal: soon(), maxOutboundStreams: 8 });
  await until('connected', () => ours.links.length > before);
  return { ours, raw, connection, stream };
}
