import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { deadline, recordOf, viewHash } from '../../src/registry/records.ts';
import type { RegistryMessage } from '../../src/registry/events.ts';
import type { EngineStatus, NodeRecord } from '../../src/registry/record.ts';
import { openRecord, textBytesMax } from '../../src/registry/sealed.ts';
import { memberId } from '../../src/std/member-id.ts';
import { record, rig, sealed, sealOf, sentTo, told, typesOf } from './rig.ts';

const idA = memberId('i-a');
const starting: EngineStatus = { phase: 'starting', models: ['m'], contextTokens: null };
const draining = { phase: 'draining', reason: 'operator', deadline: 5 } as const;

/** More than are told directly. */
const crowd = Array.from({ length: 50 }, (_, i) => `far-${i}`);

test('[G1] a record counts with its owner’s signature, whoever brings it, and without it never', () => {
  const node = rig();
  node.bind('a', 'b');
  const own = sealed(record('a'));
  const signature = sealOf('peer-b').sign(`record:${own.text}`);
  const forged = { type: 'record', ...own, signature } as const;
  deepEqual(typesOf(node.hear('a', forged)), ['record.forged']);
  equal(recordOf(node.state, idA), null);
  deepEqual(typesOf(node.hear('b', told(record('a')))), ['recorded']);
  equal(recordOf(node.state, idA)?.peerId, 'peer-a');
});

test('[G1] nobody speaks for an instance that discovery has bound to another peer', () => {
  const node = rig();
  node.bind('a', 'b');
  const usurped = record('b', { id: idA, incarnation: 99 });
  deepEqual(typesOf(node.hear('b', told(usurped))), ['stranger']);
  equal(recordOf(node.state, idA), null);
  deepEqual(node.hear('b', told(record('self', { peerId: 'peer-b', sequence: 99 }))), []);
  equal(node.state.own.sequence, 0);
});

test('[G2] records converge to the newest in whatever order, and however often, they come', () => {
  const versions = [
    record('a'),
    record('a', { sequence: 1, life: draining }),
    record('a', { sequence: 9 }),
    record('a', { incarnation: 2, sequence: 0, life: { phase: 'joining' } }),
  ];
  const orders = [
    [0, 1, 2, 3],
    [3, 2, 1, 0],
    [2, 3, 0, 1, 3, 2],
    [1, 0, 3, 3, 0, 2],
  ];
  const hashes = orders.map((order) => {
    const node = rig();
    node.bind('a');
    for (const i of order) node.hear('a', told(versions[i]!));
    deepEqual(recordOf(node.state, idA), versions[3], order.join());
    return viewHash(node.state);
  });
  equal(new Set(hashes.map((hash) => JSON.stringify(hash))).size, 1);
});

test('[G2] a forgotten member comes back no older than it was, and as it was if nothing changed', () => {
  const node = rig();
  node.bind('a');
  node.hear('a', told(record('a', { sequence: 5 })));
  node.on({ type: 'unbound', id: idA });
  equal(recordOf(node.state, idA), null);
  node.bind('a');
  deepEqual(node.hear('a', told(record('a', { sequence: 4 }))), []);
  deepEqual(typesOf(node.hear('a', told(record('a', { sequence: 5 })))), ['recorded']);
});

test('[G2] an instance with a new key begins anew, and its old key has no say', () => {
  const node = rig();
  node.bind('a');
  node.hear('a', told(record('a', { incarnation: 7 })));
  node.on({ type: 'bound', id: idA, peerId: 'peer-z' });
  equal(recordOf(node.state, idA), null);
  deepEqual(typesOf(node.hear('a', told(record('a', { incarnation: 8 })))), ['stranger']);
  deepEqual(typesOf(node.hear('z', told(record('z', { id: idA, incarnation: 2 })))), ['recorded']);
});

test('[G2] the number of members and of tombstones is bounded', () => {
  const node = rig();
  const name = (i: number) => `n${i}`;
  for (let i = 0; i < 1_100; i++) node.bind(name(i));
  equal(node.state.members.size, 1_000);
  for (let round = 0; round < 3; round++)
    for (let i = 0; i < 1_000; i++) {
      const own = record(name(i), { peerId: `peer-${name(i)}-${round}` });
      node.on({ type: 'bound', id: own.id, peerId: own.peerId });
      node.on({ type: 'message', author: own.peerId, message: told(own), via: 'direct' });
      node.on({ type: 'unbound', id: own.id });
    }
  equal(node.state.members.size, 0);
  equal(node.state.tombstones.size, 1_000);
  deepEqual(viewHash(node.state), viewHash(rig().state));
});

test('[G3] a stranger’s record waits for discovery and counts once its owner is bound', () => {
  const node = rig();
  deepEqual(node.hear('a', told(record('a'))), [{ type: 'stranger', peerId: 'peer-a', id: 'i-a' }]);
  deepEqual(node.hear('a', told(record('a'))), []);
  equal(recordOf(node.state, idA), null);
  deepEqual(node.on({ type: 'bound', id: idA, peerId: 'peer-a' }), [
    { type: 'recorded', record: record('a') },
  ]);
});

test('[G3] strangers that wait are bounded, and one bringer displaces only its own', () => {
  const node = rig();
  node.hear('honest', told(record('honest')));
  for (let i = 0; i < 60; i++) {
    node.now += 100;
    node.hear('liar', told(record(`s${i}`)));
  }
  equal(node.state.pending.size, 17);
  ok(node.state.pending.has('peer-honest'));
  for (let i = 0; i < 500; i++) node.hear(`l${i}`, told(record(`t${i}`)));
  equal(node.state.pending.size, 64);
});

test('[G5] the first change is told at once, those within 100 ms after it together', () => {
  const node = rig();
  node.bind(...crowd);
  node.connect('a');
  const first = node.on({ type: 'revised', change: { life: draining } });
  deepEqual(typesOf(first), ['recorded', 'gossip record', 'send record']);
  node.now += 10;
  deepEqual(typesOf(node.on({ type: 'revised', change: { engine: { phase: 'none' } } })), ['recorded']);
  node.now += 10;
  deepEqual(typesOf(node.on({ type: 'revised', change: { engine: starting } })), ['recorded']);
  equal(deadline(node.state), 1_100);
  node.now = 1_100;
  const [gossip] = node.on({ type: 'tick' });
  ok(gossip?.type === 'gossip' && gossip.message.type === 'record');
  deepEqual(openRecord(gossip.message)?.record, {
    ...record('self'),
    sequence: 3,
    life: draining,
    engine: starting,
  });
});

test('[G5] of up to 50 nodes whoever is connected is told; of more not all are, and it is gossiped', () => {
  const node = rig();
  node.bind(...crowd.slice(1));
  node.connect('a');
  const change = (life: NodeRecord['life']): readonly string[] =>
    typesOf(node.on({ type: 'revised', change: { life } }));
  deepEqual(change(draining), ['recorded', 'send record']);
  node.bind('one more');
  deepEqual(change({ phase: 'left' }), ['recorded', 'gossip record', 'send record']);
});

test('[G5] a drain and a goodbye wait for nothing', () => {
  const node = rig();
  node.bind(...crowd);
  node.connect('a');
  node.on({ type: 'revised', change: { engine: { phase: 'none' } } });
  for (const life of [draining, { phase: 'left' } as const])
    deepEqual(typesOf(node.on({ type: 'revised', change: { life } })), [
      'recorded',
      'gossip record',
      'send record',
    ]);
});

test('[G5] no change tells nothing', () => {
  const node = rig();
  deepEqual(node.on({ type: 'revised', change: { life: { phase: 'serving' } } }), []);
  equal(node.state.own.sequence, 0);
});

test('[G5] after the first connection the record is told once more, when a mesh of gossip stands', () => {
  const node = rig();
  node.bind(...crowd);
  node.connect('z');
  equal(deadline(node.state), 2_000);
  node.now = 2_000;
  deepEqual(typesOf(node.on({ type: 'tick' })), ['gossip record', 'send record']);
});

test('[G6] an accusation is refuted with a higher incarnation, told at once', () => {
  const node = rig();
  node.bind(...crowd);
  const effects = node.on({ type: 'refute' });
  deepEqual(typesOf(effects), ['recorded', 'gossip record']);
  deepEqual([node.state.own.incarnation, node.state.own.sequence], [2, 0]);
});

test('[G6] an echo of an earlier life that outranks us is outranked in turn; a forged one is not', () => {
  const node = rig();
  node.bind('b');
  const echo = record('self', { incarnation: 7, sequence: 3 });
  const forged: RegistryMessage = { type: 'record', ...sealed(echo), signature: 'mine' };
  deepEqual(node.hear('b', forged), []);
  const effects = node.hear('b', told(echo));
  deepEqual(typesOf(effects), ['recorded', 'record.outlived']);
  deepEqual([node.state.own.incarnation, node.state.own.sequence], [8, 0]);
});

test('[G12] who hands in a forgery is not heard for ten seconds, and is reported', () => {
  const node = rig();
  node.bind('a', 'b');
  const forged: RegistryMessage = { type: 'record', ...sealed(record('a')), signature: 'mine' };
  deepEqual(node.hear('b', forged), [
    { type: 'fact', fact: { fact: 'record.forged', peerId: 'peer-b', member: idA } },
  ]);
  node.now += 9_999;
  deepEqual(node.hear('b', told(record('a'))), []);
  node.now += 1;
  deepEqual(typesOf(node.hear('b', told(record('a')))), ['recorded']);
});

test('[G13] a member that changes its record faster than an honest one can is slowed down, and caught up with', () => {
  const node = rig();
  node.bind('a');
  const take = (sequence: number) => typesOf(node.hear('a', told(record('a', { sequence })))).join();
  const outcomes = Array.from({ length: 1_000 }, (_, i) => take(i + 1));
  equal(outcomes.filter((outcome) => outcome === 'recorded').length, 40);
  equal(outcomes.filter((outcome) => outcome === 'record.flooding').length, 1);
  node.now += 100;
  equal(take(2_000), 'recorded');
});

test('[G14] fields of a newer version survive the relay byte for byte, and reach nobody here', () => {
  const node = rig();
  node.bind('a', 'b');
  node.connect('b');
  const text = `${JSON.stringify(record('a')).slice(0, -1)} ,"mood" : {"of":["sunny"]}, "1e2":1E2}`;
  const newer = openRecord({ text, signature: sealOf('peer-a').sign(`record:${text}`) });
  ok(newer !== null);
  deepEqual(typesOf(node.hear('a', { type: 'record', ...newer })), ['recorded']);
  deepEqual(sentTo('b', node.hear('b', { type: 'want', ids: [idA] })), [
    { type: 'records', records: [newer] },
  ]);
  deepEqual(recordOf(node.state, idA), record('a'));
});

test('[G14] a record longer than the limit is nobody’s, and ours is cut to fit it', () => {
  const many = (count: number, letter: string): NodeRecord['engine'] => ({
    phase: 'ready',
    models: Array.from({ length: count }, (_, i) => `${letter.repeat(200)}${i}`),
    contextTokens: null,
  });
  const padded = `${JSON.stringify(record('a')).slice(0, -1)},"pad":"${'x'.repeat(textBytesMax)}"}`;
  equal(openRecord({ text: padded, signature: '' }), null);
  const wide = `${JSON.stringify(record('a')).slice(0, -1)},"pad":"${'→'.repeat(textBytesMax / 3)}"}`;
  equal(openRecord({ text: wide, signature: '' }), null);
  const node = rig();
  node.bind(...crowd);
  const effects = node.on({ type: 'revised', change: { engine: many(64, 'é') } });
  deepEqual(typesOf(effects), ['recorded', 'gossip record', 'record.oversized']);
  const [, gossip] = effects;
  ok(gossip?.type === 'gossip' && gossip.message.type === 'record');
  const opened = openRecord(gossip.message)?.record;
  ok(opened?.engine.phase === 'ready');
  ok(opened.engine.models.length > 10 && opened.engine.models.length < 64);
});

test('[G14] a text that would not survive the wire is no record', () => {
  equal(
    openRecord({ text: JSON.stringify(record('\ud800')).replace('\\ud800', '\ud800'), signature: '' }),
    null,
  );
});

test('[G18] a record that brings a dead member back is passed on to two others, once, and to three where members are many', () => {
  for (const [more, count] of [
    [0, 2],
    [60, 3],
  ] as const) {
    const node = rig();
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    node.bind(...names, ...Array.from({ length: more }, (_, i) => `more-${i}`));
    node.connect(...names.slice(1));
    node.hear('a', told(record('a', { incarnation: 3 })));
    deepEqual(typesOf(node.hear('b', told(record('a', { incarnation: 3, sequence: 1 })))), ['recorded']);
    node.on({ type: 'judged', id: idA, dead: true });
    deepEqual(typesOf(node.hear('b', told(record('a', { incarnation: 3, sequence: 2 })))), ['recorded']);
    const back = told(record('a', { incarnation: 4 }));
    const effects = node.hear('b', back);
    deepEqual(typesOf(effects), ['recorded', ...Array.from({ length: count }, () => 'send record')]);
    const to = new Set(effects.flatMap((effect) => (effect.type === 'send' ? [effect.peerId] : [])));
    deepEqual([to.size, to.has('peer-a'), to.has('peer-b')], [count, false, false]);
    deepEqual(node.hear('c', back), []);
  }
});

test('[G18] where members are few, a raised incarnation is passed on to one met lately by those for whom its owner never was dead', () => {
  const node = rig();
  node.bind('a', 'b', 'c', 'd', 'e', 'f');
  node.connect('b', 'c', 'd');
  node.hear('a', told(record('a', { incarnation: 3 })));
  const raised = (incarnation: number) => node.hear('b', told(record('a', { incarnation })));
  node.now += 10_001;
  deepEqual(typesOf(raised(4)), ['recorded'], 'all were there before');
  node.connect('a', 'e', 'f');
  const effects = raised(5);
  deepEqual(typesOf(effects), ['recorded', 'send record']);
  equal(sentTo('e', effects).length + sentTo('f', effects).length, 1);
});
