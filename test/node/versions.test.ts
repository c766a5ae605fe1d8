/** A version that is to come beside this one: more message types, more fields, a higher protocol. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { meet, protocolRange, type Hello } from '../../src/node/hello.ts';
import { decode, encode, type Message } from '../../src/node/message.ts';
import type { Effect } from '../../src/registry/events.ts';
import { recordOf, viewHash } from '../../src/registry/records.ts';
import { openRecord } from '../../src/registry/sealed.ts';
import { memberId } from '../../src/std/member-id.ts';
import { record, rig, sealOf, type Rig } from '../registry/rig.ts';

const next = { min: 2, max: 3 };
const hello = (protocol: Hello['protocol'], version: string): Hello => ({ type: 'hello', protocol, version });

/** What the next version puts on the wire where this one would say `message`. */
function encodeNext(message: Message): readonly Uint8Array[] {
  const whisper = new TextEncoder().encode('{"type":"whisper","mood":["sunny"]}');
  const body = encode(message);
  if (message.type === 'beat') return [Uint8Array.of(...body, 9, 9), whisper];
  const wire = JSON.parse(new TextDecoder().decode(body)) as { entries?: unknown[][] };
  const entries = wire.entries?.map((entry) => [...entry, { gpus: 8 }]);
  const more = { ...wire, ...(entries !== undefined && { entries }), later: { than: [protocolRange.max] } };
  return [whisper, new TextEncoder().encode(JSON.stringify(more))];
}

type Peer = {
  readonly name: string;
  readonly node: Rig;
  readonly speak: (message: Message) => readonly Uint8Array[];
};

const now = (name: string): Peer => ({
  name,
  node: rig(record(name)),
  speak: (message) => [encode(message)],
});
const later = (name: string): Peer => ({ name, node: rig(record(name)), speak: encodeNext });

/** Delivers what follows from these effects between connected peers, without gossip, until nobody says anything. */
function settle(peers: readonly Peer[], from: Peer, effects: readonly Effect[]): void {
  const queue = effects.map((effect) => [from, effect] as const);
  for (let said = queue.shift(); said !== undefined; said = queue.shift()) {
    const [speaker, effect] = said;
    const listener =
      effect.type === 'send' ? peers.find(({ name }) => `peer-${name}` === effect.peerId) : undefined;
    if (effect.type !== 'send' || listener === undefined) continue;
    for (const body of speaker.speak(effect.message)) {
      const message = decode(body);
      if (message === null || message.type === 'hello' || message.type === 'vote') continue;
      if (!('text' in message || 'buckets' in message || 'records' in message || 'ids' in message)) continue;
      queue.push(...listener.node.hear(speaker.name, message).map((each) => [listener, each] as const));
    }
  }
}

function introduce(peers: readonly Peer[], a: Peer, b: Peer): void {
  const greetings = [
    [a, a.node.on({ type: 'connected', peerId: `peer-${b.name}` })],
    [b, b.node.on({ type: 'connected', peerId: `peer-${a.name}` })],
  ] as const;
  for (const [peer, effects] of greetings) settle(peers, peer, effects);
}

test('[G17] each takes the highest protocol that both speak, whoever greets', () => {
  deepEqual(meet(protocolRange, 'peer-b', hello(next, '0.2.0')), { type: 'agreed', protocol: 2 });
  deepEqual(meet(next, 'peer-a', hello(protocolRange, '0.1.0')), { type: 'agreed', protocol: 2 });
  deepEqual(meet(next, 'peer-b', hello(next, '0.2.0')), { type: 'agreed', protocol: 3 });
});

test('[G17] versions that share no protocol part on both sides, and each says so', () => {
  const far = { min: 3, max: 4 };
  deepEqual(meet(protocolRange, 'peer-b', hello(far, '0.9.0')), {
    type: 'apart',
    fact: { fact: 'peer.incompatible', peerId: 'peer-b', version: '0.9.0', min: 3, max: 4 },
  });
  equal(meet(far, 'peer-a', hello(protocolRange, '0.1.0')).type, 'apart');
});

test('[G17] a hello of a newer version is understood', () => {
  for (const body of encodeNext(hello(next, '0.2.0'))) {
    const message = decode(body);
    ok(message === null || message.type === 'hello');
    if (message !== null) deepEqual(message, hello(next, '0.2.0'));
  }
});

test('[G17] this version relays between two of the next, and nothing that they added is lost on the way', () => {
  const peers = [later('a'), now('m'), later('z')] as const;
  const [a, m, z] = peers;
  for (const { node } of peers) node.bind('a', 'm', 'z');
  const text = JSON.stringify({ ...record('z', { sequence: 1 }), gpus: [{ kind: 'h100', free: 3 }] });
  const newer = openRecord({ text, signature: sealOf('peer-z').sign(`record:${text}`) });
  ok(newer !== null);
  introduce(peers, m, z);
  m.node.hear('z', { type: 'record', ...newer });
  introduce(peers, a, m);
  deepEqual(a.node.state.members.get(memberId('i-z'))?.held?.signed, newer);
  equal(recordOf(a.node.state, memberId('i-z'))?.sequence, 1);
  deepEqual(viewHash(a.node.state), viewHash(m.node.state));
});
