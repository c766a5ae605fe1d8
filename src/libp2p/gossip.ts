/**
 * What comes by gossip: a message counts as its author's, the one who signed it, whoever relayed it. An author that is
 * not connected to us is admitted like a peer that knocks, before its message is passed on or read.
 */
import { TopicValidatorResult, type GossipSub, type Message } from '@chainsafe/libp2p-gossipsub';
import { messageBytesMax } from './direct.ts';
import { gossipTopic } from './node.ts';

/** Messages of authors that wait to be admitted; beyond it they are ignored, and come again by direct streams. */
const judgingMax = 64;

export function listenToGossip(
  pubsub: GossipSub,
  ears: {
    isConnected(peerId: string): boolean;
    admit(peerId: string): Promise<boolean>;
    message(author: string, body: Uint8Array): void;
  },
): void {
  let judging = 0;

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

  pubsub.topicValidators.set(gossipTopic, async (_, message) => {
    const author = authorOf(message);
    if (author === null || message.data.byteLength > messageBytesMax) return TopicValidatorResult.Reject;
    return (await isFromMember(author)) ? TopicValidatorResult.Accept : TopicValidatorResult.Ignore;
  });
  pubsub.addEventListener('message', ({ detail }) => {
    const author = authorOf(detail);
    if (author !== null) ears.message(author, detail.data);
  });
}

/** null: nobody signed it, or what is signed is not for us. */
const authorOf = (message: Message): string | null =>
  message.type === 'signed' && message.topic === gossipTopic ? message.from.toString() : null;
