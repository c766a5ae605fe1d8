/**
 * What comes by gossip: a message counts as its author's, the one who signed it, whoever relayed it. An author that is
 * not connected to us is admitted like a peer that knocks, before its message is passed on or read.
 *
 * A neighbour pays for all that it hands us, so what it relays for others must stay far below what it may send: else one
 * author that says too much makes honest neighbours give each other up. So each author has little, and what is more, or
 * is nothing that members gossip, is passed over in silence, and not passed on. What is lost so the views' hashes show.
 */
import { TopicValidatorResult, type GossipSub, type Message } from '@chainsafe/libp2p-gossipsub';
import type { Connection, PeerId } from '@libp2p/interface';
import { allowances, tokensFor } from './allowance.ts';
import { messageBytesMax } from './direct.ts';
import { gossipTopic } from './node.ts';

/** Messages of authors that wait to be admitted; beyond it they are ignored, and come again by direct streams. */
const judgingMax = 64;
/**
 * Of one author, in messages, whoever relays them. An honest one tells its own record, ten times a second at most, and a
 * few votes. Relayed one by one each costs its neighbour two of 500 a second, so that it takes a dozen such authors to
 * bring a relay into trouble.
 */
const authored = { perSecond: 20, burst: 100 };
/** Looking up an id costs about so much less than a message. */
const idsPerToken = 32;

/** Of an RPC, what costs us time; of gossipsub as it is inside. */
type Rpc = {
  readonly subscriptions?: readonly unknown[];
  readonly messages?: readonly { readonly data?: Uint8Array }[];
  readonly control?: Readonly<
    Record<'ihave' | 'iwant' | 'graft' | 'prune' | 'idontwant', Control | undefined>
  >;
};
type Control = readonly { readonly messageIDs?: readonly unknown[] }[];
type Inside = {
  handleReceivedRpc(from: PeerId, rpc: Rpc): Promise<void>;
  onPeerConnected(peerId: PeerId, connection: Connection): void;
  onPeerDisconnected(peerId: PeerId): void;
  readonly streamsOutbound: Map<string, { readonly rawStream: { readonly status: string } }>;
};

const insideOf = (pubsub: GossipSub): Inside => pubsub as unknown as Inside;

/**
 * Opens our gossip stream to a peer, who opens his in return. gossipsub would learn from identify who speaks it, at two
 * streams, a signature and three writes to the peer store for each connection; our peers all do.
 */
export function beginGossip(pubsub: GossipSub, connection: Connection): void {
  insideOf(pubsub).onPeerConnected(connection.remotePeer, connection);
}

/** Whom it was not told of by identify gossipsub does not see go either. */
export function endGossip(pubsub: GossipSub, peerId: PeerId): void {
  insideOf(pubsub).onPeerDisconnected(peerId);
}

/** Our stream to it. A stale one is of a connection that is gone; it is forgotten here, so that another can be opened. */
export function gossipStreamTo(pubsub: GossipSub, peerId: string): 'open' | 'stale' | null {
  const { streamsOutbound } = insideOf(pubsub);
  const stream = streamsOutbound.get(peerId);
  if (stream === undefined) return null;
  if (stream.rawStream.status === 'open') return 'open';
  streamsOutbound.delete(peerId);
  return 'stale';
}

export function listenToGossip(
  pubsub: GossipSub,
  ears: {
    /** Asked before anything is verified; false: this neighbour sent more than we take. */
    spend(neighbour: string, tokens: number): boolean;
    isConnected(peerId: string): boolean;
    admit(peerId: string): Promise<boolean>;
    /** Whether members gossip such a thing at all. */
    isGossip(body: Uint8Array): boolean;
    message(author: string, body: Uint8Array): void;
  },
): void {
  let judging = 0;
  const authors = allowances(authored);

  async function isFromMember(author: string): Promise<boolean> {
    if (ears.isConnected(author)) return true;
    if (judging >= judgingMax) return false;
    judging++;
    try {
      return await ears.admit(author);
    } finally {
      judging--;
    }
  }

  const inside = insideOf(pubsub);
  const { handleReceivedRpc } = inside;
  inside.handleReceivedRpc = async (from, rpc) => {
    if (ears.spend(from.toString(), tokensOf(rpc))) await handleReceivedRpc.call(inside, from, rpc);
  };
  pubsub.topicValidators.set(gossipTopic, async (_, message) => {
    const author = authorOf(message);
    if (author === null || message.data.byteLength > messageBytesMax) return TopicValidatorResult.Reject;
    if (!(await isFromMember(author))) return TopicValidatorResult.Ignore;
    // In this order, so that strangers take no allowance from members, and garbage is not even read beyond it.
    const isTaken =
      authors.of(author).spend(tokensFor(message.data.byteLength)) && ears.isGossip(message.data);
    return isTaken ? TopicValidatorResult.Accept : TopicValidatorResult.Ignore;
  });
  pubsub.addEventListener('message', ({ detail }) => {
    const author = authorOf(detail);
    if (author !== null) ears.message(author, detail.data);
  });
}

/** A message is verified whether it is worth it or not; ids are only looked up. */
function tokensOf({ subscriptions = [], messages = [], control }: Rpc): number {
  const entries = Object.values(control ?? {}).flatMap((list) => list ?? []);
  const ids = entries.reduce((sum, { messageIDs }) => sum + (messageIDs?.length ?? 0), 0);
  const bodies = messages.reduce((sum, { data }) => sum + tokensFor(data?.byteLength ?? 0), 0);
  return 1 + subscriptions.length + bodies + entries.length + ids / idsPerToken;
}

/** null: nobody signed it, or what is signed is not for us. */
const authorOf = (message: Message): string | null =>
  message.type === 'signed' && message.topic === gossipTopic ? message.from.toString() : null;
