/** Real libp2p nodes on loopback, each with a record of what it was told and an open door unless told otherwise. */
import { generateKeyPair } from '@libp2p/crypto/keys';
import { startNetwork, type Libp2pNetwork } from '../../src/libp2p/network.ts';
import type { PeerAddress } from '../../src/node/ports.ts';

type Heard = { readonly author: string; readonly text: string; readonly via: 'direct' | 'gossip' };

export type Peer = {
  readonly network: Libp2pNetwork;
  readonly peerId: string;
  readonly address: PeerAddress;
  /** `+id` for connected, `-id` for disconnected, in order. */
  readonly links: string[];
  readonly heard: Heard[];
  readonly refused: string[];
  /** Messages that met a defect. */
  readonly stumbled: string[];
  admit: (peerId: string) => Promise<boolean>;
  isGossip: (body: Uint8Array) => boolean;
  /** What else it does when it is told of a connection. */
  onConnected: (peerId: string) => void;
  /** What else it does with a message. */
  onMessage: (text: string) => void;
};

export const soon = (): AbortSignal => AbortSignal.timeout(60_000);

export async function startPeer(host = '127.0.0.1', port = 0, gossips = true): Promise<Peer> {
  const links: string[] = [];
  const heard: Heard[] = [];
  const refused: string[] = [];
  const stumbled: string[] = [];
  const door: Pick<Peer, 'admit' | 'isGossip' | 'onConnected' | 'onMessage'> = {
    admit: () => Promise.resolve(true),
    isGossip: () => true,
    onConnected: () => {},
    onMessage: () => {},
  };
  const network = await startNetwork(
    {
      privateKey: await generateKeyPair('Ed25519'),
      listen: { host, port },
      version: '0.0.0',
      isGossip: (body) => door.isGossip(body),
      onRefused: (peerId, why) => refused.push(`${peerId} ${why}`),
      onFlood: (peerId) => refused.push(`${peerId} sends more than we take`),
      onStumbled: (peerId, why) => stumbled.push(`${peerId} ${why}`),
    },
    {
      connected: (peerId) => {
        links.push(`+${peerId}`);
        door.onConnected(peerId);
      },
      disconnected: (peerId) => links.push(`-${peerId}`),
      message: (author, body, via) => {
        const text = new TextDecoder().decode(body);
        door.onMessage(text);
        heard.push({ author, text, via });
      },
      admit: (peerId) => door.admit(peerId),
    },
  );
  if (gossips) network.openGossip();
  const address = { host, port: network.port };
  return Object.assign(door, { network, peerId: network.peerId, address, links, heard, refused, stumbled });
}

export const dial = (from: Peer, to: Peer): Promise<void> => from.network.dial(to, soon());

/** Many handshakes in one process may starve one of them beyond its deadline; a node then dials again, and so do we. */
export async function dialAgain(from: Peer, to: Peer, tries = 3): Promise<void> {
  try {
    await dial(from, to);
  } catch (error) {
    if (tries === 1) throw error;
    await dialAgain(from, to, tries - 1);
  }
}

/** Resolves once `holds`; rejects with what was waited for when it does not come true in time. */
export async function until(what: string, holds: () => boolean, withinMs = 60_000): Promise<number> {
  const started = performance.now();
  while (!holds()) {
    if (performance.now() - started > withinMs) throw new Error(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return performance.now() - started;
}

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
