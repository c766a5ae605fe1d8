import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { decode, encode } from '../../src/registry/message.ts';
import type { NodeRecord } from '../../src/registry/record.ts';
import { init, merge, revise } from '../../src/registry/registry.ts';
import { memberId } from '../../src/std/member-id.ts';

const record = (name: string, more: Partial<NodeRecord> = {}): NodeRecord => ({
  id: memberId(`i-${name}`),
  peerId: `peer-${name}`,
  incarnation: 1,
  sequence: 0,
  role: 'worker',
  zone: 'us-east-1a',
  version: '0.1.0',
  addresses: { peer: '10.0.0.1:4002', api: 'http://10.0.0.1:8000' },
  life: { phase: 'serving' },
  engine: { phase: 'ready', models: ['m'], contextTokens: 4_096 },
  ...more,
});

test('records converge to the newest in whatever order, and however often, they come', () => {
  const versions = [
    record('a'),
    record('a', { sequence: 1, life: { phase: 'draining', reason: 'operator', deadline: 5 } }),
    record('a', { sequence: 9 }),
    record('a', { incarnation: 2, sequence: 0, life: { phase: 'joining' } }),
  ];
  const orders = [
    [0, 1, 2, 3],
    [3, 2, 1, 0],
    [2, 3, 0, 1, 3, 2],
    [1, 0, 3, 3, 0, 2],
  ];
  for (const order of orders) {
    const registry = init(record('self'));
    for (const i of order) merge(registry, versions[i]!, 'peer-a');
    deepEqual(registry.records.get(memberId('i-a')), versions[3], order.join());
  }
});

test('nobody speaks for another', () => {
  const registry = init(record('self'));
  equal(merge(registry, record('a'), 'peer-b'), 'refused');
  equal(merge(registry, record('self', { sequence: 99 }), 'peer-b'), 'refused');
  equal(registry.records.size, 0);
});

test('a change raises the sequence once; no change raises nothing', () => {
  const registry = init(record('self'));
  equal(revise(registry, { life: { phase: 'serving' } }), false);
  equal(revise(registry, { life: { phase: 'left' } }), true);
  equal(registry.own.sequence, 1);
});

test('an echo of an earlier life that outranks us is outranked in turn', () => {
  const registry = init(record('self'));
  equal(merge(registry, record('self', { incarnation: 7, sequence: 3 }), 'peer-self'), 'stale-self');
  deepEqual([registry.own.incarnation, registry.own.sequence], [8, 0]);
});

test('the number of records is bounded', () => {
  const registry = init(record('self'));
  for (let i = 0; i < 1_500; i++) merge(registry, record(`n${i}`), `peer-n${i}`);
  equal(registry.records.size, 1_000);
});

test('a message survives the wire, fields of a newer version included', () => {
  const newer = { ...record('a'), mood: 'sunny' };
  deepEqual(decode(encode({ type: 'record', record: newer })), { type: 'record', record: newer });
  deepEqual(decode(encode({ type: 'load', running: 3, waiting: 0 })), {
    type: 'load',
    running: 3,
    waiting: 0,
  });
});

test('garbage is no message: not JSON, not an object, unknown type, wrong fields, too large', () => {
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
  const garbage = [
    bytes('{'),
    bytes('7'),
    bytes('null'),
    bytes('{"type":"shout"}'),
    bytes('{"type":"load","running":-1,"waiting":0}'),
    bytes('{"type":"record","record":{"id":"i-a"}}'),
    Uint8Array.of(0xff, 0xfe),
    bytes(`{"type":"alive","padding":"${'x'.repeat(20_000)}"}`),
  ];
  for (const body of garbage) equal(decode(body), null);
});
