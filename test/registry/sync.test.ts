import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import type { Effect, Entry, RegistryMessage } from '../../src/registry/events.ts';
import { deadline, recordOf, viewHash } from '../../src/registry/records.ts';
import { bucketCount, bucketOf } from '../../src/registry/view-hash.ts';
import { memberId } from '../../src/std/member-id.ts';
import { record, rig, sealed, sentTo, told, typesOf, type Rig } from './rig.ts';

const allBuckets = Array.from({ length: bucketCount }, (_, i) => i);
const foreign = { high: 1, low: 2 };
const beat = (node: Rig, name: string, hash = foreign): readonly Effect[] =>
  node.on({ type: 'beaten', peerId: `peer-${name}`, hash });

const entriesOf = (entries: readonly Entry[], reply = false): RegistryMessage => ({
  type: 'entries',
  buckets: allBuckets,
  entries,
  reply,
});
const entry = (name: string, more: Partial<Entry> = {}): Entry => ({
  id: memberId(`i-${name}`),
  incarnation: 1,
  sequence: 0,
  dead: false,
  ...more,
});

/** A node that has just sent its hashes to `b`, and waits for the entries. `peer-b` is lower than `peer-self`. */
function comparing(): Rig {
  const node = rig();
  node.bind('a', 'b');
  node.connect('b');
  beat(node, 'b');
  node.now += 400;
  deepEqual(typesOf(beat(node, 'b')), ['send hashes']);
  return node;
}

test('[G7] beats with our own view begin nothing; another view that stands for 400 ms begins a comparison', () => {
  const node = rig();
  node.connect('b');
  deepEqual(beat(node, 'b', viewHash(node.state)), []);
  deepEqual(beat(node, 'b'), []);
  node.now += 300;
  deepEqual(beat(node, 'b', viewHash(node.state)), []);
  node.now += 300;
  deepEqual(beat(node, 'b'), []);
  node.now += 400;
  deepEqual(typesOf(beat(node, 'b')), ['send hashes']);
});

test('[G7] at most one comparison a second and peer, and ever fewer of the same two views', () => {
  const begun = (hashAt: (n: number) => typeof foreign): number => {
    const node = rig();
    node.connect('b');
    let count = 0;
    for (let n = 0; n < 4 * 60; n++) {
      count += beat(node, 'b', hashAt(n)).length;
      node.now += 250;
    }
    return count;
  };
  equal(
    begun((n) => ({ high: n, low: 1 })),
    60,
  );
  equal(
    begun(() => foreign),
    7,
  );
});

test('[G8] a new connection hears our record at once, and the lower peer id begins to compare', () => {
  const node = rig();
  const types = (name: string) => typesOf(node.on({ type: 'connected', peerId: `peer-${name}` }));
  deepEqual(types('b'), ['send record']);
  deepEqual(types('z'), ['send record', 'send hashes']);
});

/** One of so many that not all are connected with all. */
const oneOfMany = (): Rig => {
  const node = rig();
  node.bind(...Array.from({ length: 70 }, (_, i) => `m${i}`));
  return node;
};

test('[G7] where members are many, views that move are left to gossip, and peers are compared with ever less often', () => {
  const node = oneOfMany();
  node.connect('b', 'c');
  const begun = (ms: number, move: (step: number) => void): number => {
    let count = 0;
    for (let step = 0; step * 250 < ms; step++, node.now += 250) {
      move(step);
      for (const name of ['b', 'c']) count += beat(node, name, { high: step, low: 1 }).length;
    }
    return count;
  };
  equal(
    begun(20_000, (sequence) => node.hear('m1', told(record('m1', { sequence })))),
    0,
  );
  equal(
    begun(20_000, () => undefined),
    5,
  );
});

test('[G8] where members are many, only who had no connection compares at once', () => {
  const node = oneOfMany();
  const types = (name: string) => typesOf(node.on({ type: 'connected', peerId: `peer-${name}` }));
  deepEqual(types('b'), ['send record', 'send hashes']);
  deepEqual(types('z'), ['send record']);
});

test('[G8] every few seconds one random peer is compared with, beats or not', () => {
  const node = rig();
  node.connect('b', 'c');
  const asked = new Set<string>();
  const end = node.now + 60_000;
  let count = 0;
  while (deadline(node.state) <= end) {
    node.now = deadline(node.state);
    for (const effect of node.on({ type: 'tick' }))
      if (effect.type === 'send' && effect.message.type === 'hashes') {
        asked.add(effect.peerId);
        count++;
      }
  }
  ok(count >= 11 && count <= 15, `${count}`);
  deepEqual([...asked].sort(), ['peer-b', 'peer-c']);
  node.on({ type: 'disconnected', peerId: 'peer-b' });
  node.on({ type: 'disconnected', peerId: 'peer-c' });
  node.now = deadline(node.state);
  node.on({ type: 'tick' });
  equal(deadline(node.state), Infinity);
});

test('[G9] hashes are answered with the entries of the buckets that differ, and of no other', () => {
  const node = rig();
  node.bind('a', 'b');
  node.connect('b');
  node.hear('a', told(record('a', { sequence: 4 })));
  const buckets = allBuckets.map(() => ({ high: 0, low: 0 }));
  const [answer] = sentTo('b', node.hear('b', { type: 'hashes', buckets }));
  ok(answer?.type === 'entries');
  deepEqual(new Set(answer.buckets), new Set(['i-a', 'i-self'].map((id) => bucketOf(memberId(id)))));
  deepEqual(new Set(answer.entries), new Set([entry('a', { sequence: 4 }), entry('self')]));
  equal(answer.reply, false);
  deepEqual(node.hear('b', { type: 'hashes', buckets }), [], 'not again within a second');
});

test('[G9] both sides fetch what is newer at the other, and nothing else', () => {
  const node = comparing();
  node.hear('a', told(record('a', { sequence: 4 })));
  const effects = node.hear('b', entriesOf([entry('a', { sequence: 3 }), entry('b', { sequence: 2 })]));
  deepEqual(typesOf(effects), ['send entries', 'send want']);
  const [reply, want] = sentTo('b', effects);
  ok(reply?.type === 'entries' && reply.reply);
  deepEqual(want, { type: 'want', ids: ['i-b'] });
  const records: RegistryMessage = { type: 'records', records: [sealed(record('b', { sequence: 2 }))] };
  deepEqual(typesOf(node.hear('b', records)), ['recorded']);
});

test('[G9] a record is asked of one peer at a time, and of another one when it does not come', () => {
  const node = comparing();
  node.connect('c');
  deepEqual(typesOf(node.hear('b', entriesOf([entry('a')]))), ['send entries', 'send want']);
  beat(node, 'c');
  node.now += 400;
  beat(node, 'c');
  deepEqual(typesOf(node.hear('c', entriesOf([entry('a')]))), ['send entries']);
  node.now += 1_000;
  beat(node, 'c');
  deepEqual(typesOf(node.hear('c', entriesOf([entry('a')]))), ['send entries', 'send want']);
});

test('[G9] records of two lives of one instance are asked for apart, so that many who have the one do not hide the other', () => {
  const node = comparing();
  node.connect('c', 'd');
  node.hear('b', entriesOf([entry('a', { incarnation: 7 })]));
  for (const [name, incarnation, asks] of [
    ['c', 7, false],
    ['d', 3, true],
  ] as const) {
    beat(node, name);
    node.now += 400;
    beat(node, name);
    const sent = typesOf(node.hear(name, entriesOf([entry('a', { incarnation })])));
    equal(sent.includes('send want'), asks, name);
  }
});

test('[G9] a thousand records are asked for a few at a time, each when those before it came', () => {
  const node = comparing();
  const names = Array.from({ length: 900 }, (_, i) => `m${i}`);
  node.bind(...names);
  const byId = new Map(names.map((name) => [memberId(`i-${name}`), sealed(record(name))]));
  let effects = node.hear('b', entriesOf(names.map((name) => entry(name))));
  let pages = 0;
  for (;;) {
    const want = sentTo('b', effects).find((message) => message.type === 'want');
    if (want === undefined) break;
    ok(want.ids.length <= 64);
    pages++;
    effects = node.hear('b', { type: 'records', records: want.ids.map((id) => byId.get(id)!) });
  }
  equal(pages, Math.ceil(900 / 64));
  equal(names.filter((name) => recordOf(node.state, memberId(`i-${name}`)) === null).length, 0);
});

test('[G9] no message outgrows a frame, with a thousand members and long records', () => {
  const node = rig();
  const names = Array.from({ length: 990 }, (_, i) => `0123456789abcdef${i}`);
  node.bind('b', ...names);
  node.connect('b');
  const models = Array.from({ length: 30 }, (_, i) => `${'"é'.repeat(60)}${i}`);
  const engine = { phase: 'ready', models, contextTokens: null } as const;
  for (const name of names) node.hear(name, told(record(name, { engine })));
  const buckets = allBuckets.map(() => ({ high: 0, low: 0 }));
  const ids = names.slice(0, 64).map((name) => memberId(`i-${name}`));
  const sent = [
    ...sentTo('b', node.hear('b', { type: 'hashes', buckets })),
    ...sentTo('b', node.hear('b', { type: 'want', ids })),
  ];
  const bytes = sent.map((message) => Buffer.byteLength(JSON.stringify(message)));
  ok(Math.max(...bytes) <= 65_536, `${Math.max(...bytes)}`);
  const entries = sent.flatMap((message) => (message.type === 'entries' ? message.entries : []));
  const records = sent.flatMap((message) => (message.type === 'records' ? message.records : []));
  deepEqual([entries.length, records.length], [991, 64]);
});

test('[G9] ids that a peer made up to be long in JSON are asked for in more messages, each of which fits a frame', () => {
  const node = comparing();
  const names = Array.from({ length: 60 }, (_, i) => `${'\u0001'.repeat(250)}${i}`);
  let effects = node.hear('b', entriesOf(names.map((name) => entry(name))));
  const wanted: string[] = [];
  for (;;) {
    const want = sentTo('b', effects).find((message) => message.type === 'want');
    if (want === undefined) break;
    const bytes = Buffer.byteLength(JSON.stringify(want));
    ok(bytes <= 65_536, `${bytes}`);
    wanted.push(...want.ids);
    effects = node.hear('b', { type: 'records', records: [] });
  }
  deepEqual(wanted.toSorted(), names.map((name) => `i-${name}`).toSorted());
});

test('[G10] entries that nobody asked for change nothing, and each bucket is taken once', () => {
  const node = rig();
  node.bind('a', 'b');
  node.connect('b');
  deepEqual(node.hear('b', entriesOf([entry('a', { dead: true })])), []);
  deepEqual(node.hear('b', entriesOf([entry('a', { dead: true })], true)), []);
  const asked = comparing();
  asked.hear('b', entriesOf([entry('a')]));
  deepEqual(asked.hear('b', entriesOf([entry('a', { sequence: 9 })])), []);
  deepEqual(asked.on({ type: 'message', author: 'peer-b', message: entriesOf([]), via: 'gossip' }), []);
});

test('[G10] a digest that lies about us makes us ask for the record, and believe nothing', () => {
  const node = comparing();
  const effects = node.hear('b', entriesOf([entry('self', { incarnation: 99 })]));
  deepEqual(sentTo('b', effects).at(-1), { type: 'want', ids: ['i-self'] });
  deepEqual(node.hear('b', { type: 'records', records: [] }), []);
  equal(node.state.own.incarnation, 1);
});

test('[G11] who is dead in a digest is rumoured, and if it is us, we are accused; nothing of it is believed', () => {
  const node = comparing();
  node.hear('a', told(record('a')));
  const before = viewHash(node.state);
  const effects = node.hear('b', entriesOf([entry('a', { dead: true }), entry('self', { dead: true })]));
  deepEqual(effects.slice(0, 2), [
    { type: 'rumoured', by: 'i-b', id: 'i-a', incarnation: 1, says: 'dead' },
    { type: 'accused', by: 'i-b', incarnation: 1 },
  ]);
  deepEqual(viewHash(node.state), before);
});

test('[G11] whom a digest lacks after ten seconds is rumoured as well', () => {
  const node = comparing();
  node.hear('a', told(record('a')));
  node.now += 9_000;
  deepEqual(typesOf(node.hear('b', entriesOf([]))), ['send entries']);
  const later = comparing();
  later.hear('a', told(record('a')));
  later.now += 10_000;
  const effects = later.hear('b', entriesOf([]));
  deepEqual(effects[0], { type: 'rumoured', by: 'i-b', id: 'i-a', incarnation: 1, says: 'nothing' });
  deepEqual(typesOf(effects), ['rumoured', 'send entries']);
});

test('[G11] our own verdict shows in the view hash and in the digests, until it is revoked', () => {
  const node = comparing();
  node.hear('a', told(record('a')));
  const alive = viewHash(node.state);
  node.on({ type: 'judged', id: memberId('i-a'), dead: true });
  ok(JSON.stringify(alive) !== JSON.stringify(viewHash(node.state)));
  const effects = node.hear('b', entriesOf([entry('a', { dead: true })]));
  deepEqual(typesOf(effects), ['send entries']);
  const [reply] = sentTo('b', effects);
  ok(reply?.type === 'entries' && reply.entries.some(({ id, dead }) => id === 'i-a' && dead));
  node.on({ type: 'judged', id: memberId('i-a'), dead: false });
  deepEqual(viewHash(node.state), alive);
});
