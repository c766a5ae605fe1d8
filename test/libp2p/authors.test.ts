/** Of what one author gossips, neighbours pass on a little, and nothing that members do not gossip. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { gossipTopic } from '../../src/libp2p/node.ts';
import { isGossip } from '../../src/node/hearing.ts';
import { wireCodec } from '../../src/node/message.ts';
import { bytes, dial, startPeer, until, type Peer } from './peers.ts';
import { closeRaw, closeWith, met, type Raw } from './raw.ts';

afterEach(closeRaw);

const inTimeMs = 30_000;

/** Not at every look: what one author may say is bounded. */
async function untilHeard(from: Peer, text: string, by: Peer): Promise<void> {
  let looks = 0;
  await until(
    `${text} heard`,
    () => {
      if (looks++ % 50 === 0) from.network.gossip(bytes(text));
      return by.heard.some((heard) => heard.via === 'gossip' && heard.text === text);
    },
    inTimeMs,
  );
}

type Line = { readonly author: Raw; readonly relay: Peer; readonly end: Peer };

/** An author that knows a relay only, and one at the end that knows the relay only; gossip goes all the way. */
async function line(): Promise<Line> {
  const { ours: relay, raw: author } = await met();
  const end = await startPeer();
  closeWith(() => end.network.close());
  await dial(relay, end);
  const { pubsub } = author.services;
  await until('gossip stands', () => pubsub.getSubscribers(gossipTopic).length === 1, inTimeMs);
  await untilHeard(relay, 'of the relay', end);
  return { author, relay, end };
}

const of = ({ heard }: Peer, author: Raw): readonly string[] =>
  heard.filter((one) => one.author === author.peerId.toString()).map(({ text }) => text);

test('of an author that says more than members do a part is passed on, and the relay stays what it was', async () => {
  const { author, relay, end } = await line();
  const { pubsub } = author.services;
  const said = 800;
  for (let i = 0; i < said; i++) await pubsub.publish(gossipTopic, bytes(`word ${i}`));
  await until('some is passed on', () => of(end, author).length >= 50, inTimeMs);
  // Gossip of one neighbour comes in order: what the relay said after it is heard after all that it passed on.
  await untilHeard(relay, 'after it', end);
  ok(of(end, author).length < 600, `${of(end, author).length}`);
  deepEqual(end.links, [`+${relay.peerId}`]);
  deepEqual(relay.refused, []);
});

test('what is no record, vote or vouch is neither heard nor passed on', async () => {
  const { author, relay, end } = await line();
  relay.isGossip = (body) => isGossip(wireCodec.decode(body));
  const { pubsub } = author.services;
  const vouch = wireCodec.encode({ type: 'vouch', entries: [] });
  await pubsub.publish(gossipTopic, bytes('garbage'));
  await pubsub.publish(gossipTopic, wireCodec.encode({ type: 'watch', on: true }));
  await pubsub.publish(gossipTopic, vouch);
  await until('passed on', () => of(end, author).length > 0, inTimeMs);
  for (const peer of [relay, end]) deepEqual(of(peer, author), [new TextDecoder().decode(vouch)]);
  equal(author.getConnections().length, 1);
});
