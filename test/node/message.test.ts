import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decode, encode, type Message } from '../../src/node/message.ts';
import { isVoters, openVote, sealVote } from '../../src/node/sealed-vote.ts';
import { bucketCount } from '../../src/registry/view-hash.ts';
import { memberId } from '../../src/std/member-id.ts';
import { record, sealOf } from '../registry/rig.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const id = memberId('i-0a');
const text = `${JSON.stringify(record('a')).slice(0, -1)},"later":"→"}`;
const signed = { record: record('a'), text, signature: 'abc' };
const vote = { subject: id, incarnation: 7, evidence: 'slow', life: 5, sequence: 12 } as const;

const everyMessage: { readonly [T in Message['type']]: Extract<Message, { type: T }> } = {
  beat: { type: 'beat', hash: { high: 0xfffffffe, low: 1 }, stamp: 1_795_000_000_123 },
  hello: { type: 'hello', protocol: { min: 2, max: 3 }, version: '0.1.0' },
  record: { type: 'record', ...signed },
  records: { type: 'records', records: [signed, signed] },
  load: { type: 'load', running: 3, waiting: 0 },
  mute: { type: 'mute' },
  watch: { type: 'watch', on: true },
  accused: { type: 'accused', incarnation: 1_763_736_000_000 },
  vote: sealVote({ by: 'peer-a', vote }, sealOf('peer-a')),
  hashes: {
    type: 'hashes',
    buckets: Array.from({ length: bucketCount }, (_, i) => ({ high: i * 0x3ffffff, low: 0xffffffff - i })),
  },
  entries: {
    type: 'entries',
    buckets: [0, 63],
    entries: [{ id, incarnation: 1_763_736_000_000, sequence: 4, dead: true }],
    reply: false,
  },
  want: { type: 'want', ids: [id] },
  vouch: {
    type: 'vouch',
    entries: [
      { id, peerId: 'peer', address: { host: '10.0.0.1', port: 4_001 }, zone: 'z', role: 'worker' },
      {
        id,
        peerId: 'peer',
        address: { host: '10.0.0.1', port: 4_001 },
        zone: 'z',
        role: 'edge',
        left: true,
      },
      { id, peerId: 'peer', address: { host: '10.0.0.1', port: 1 }, zone: '', role: 'worker', ageMs: 20_000 },
    ],
  },
  ask: { type: 'ask', peerIds: ['peer', 'another'] },
};

test('every message survives the wire', () => {
  for (const message of Object.values(everyMessage)) deepEqual(decode(encode(message)), message);
});

test('a beat is fifteen bytes, and a newer version may put more behind it', () => {
  const body = encode(everyMessage.beat);
  equal(body.byteLength, 15);
  deepEqual(decode(Uint8Array.of(...body, 7, 7)), everyMessage.beat);
  const within = new Uint8Array(26);
  within.set(body, 5);
  deepEqual(decode(within.subarray(5, 20)), everyMessage.beat);
});

test('one instance that cannot be read keeps nobody from the others, and what EC2 does not say is empty', () => {
  const [entry] = everyMessage.vouch.entries;
  const entries = [{ ...entry, role: '' }, { ...entry, peerId: 7 }, entry];
  const read = decode(bytes(JSON.stringify({ type: 'vouch', entries })));
  deepEqual(read, { type: 'vouch', entries: [{ ...entry, role: '' }, entry] });
});

test('fields that this version does not know are dropped, from the outside and from within', () => {
  for (const message of Object.values(everyMessage)) {
    if (message.type === 'beat') continue;
    const wire = JSON.parse(new TextDecoder().decode(encode(message))) as Record<string, unknown>;
    deepEqual(decode(bytes(JSON.stringify({ ...wire, mood: 'sunny' }))), message);
  }
  const { entries } = everyMessage.vouch;
  const newer = { type: 'vouch', entries: entries.map((entry) => ({ ...entry, gpu: 'h100' })) };
  deepEqual(decode(bytes(JSON.stringify(newer))), everyMessage.vouch);
  const longer = '{"type":"entries","buckets":[0],"entries":[["i-0a",1,2,0,"more"]],"reply":true}';
  const [entry] = (decode(bytes(longer)) as typeof everyMessage.entries).entries;
  deepEqual(entry, { id, incarnation: 1, sequence: 2, dead: false });
});

test('garbage is no message: not JSON, not an object, unknown type, wrong fields, too many, too large', () => {
  const many = (count: number, item: string): string => Array<string>(count).fill(item).join();
  const garbage = [
    '',
    '{',
    '7',
    'null',
    '[]',
    ' {"type":"mute"}',
    '{"type":"shout"}',
    '{"type":"beat","hash":{"high":1,"low":1}}',
    '{"type":["mute"]}',
    '{"__proto__":{"type":"mute"}}',
    '{"type":"load","running":-1,"waiting":0}',
    '{"type":"load","running":1e400,"waiting":0}',
    '{"type":"load","running":0.5,"waiting":0}',
    '{"type":"hello","protocol":{"min":3,"max":2},"version":"x"}',
    '{"type":"hello","protocol":{"min":0,"max":2},"version":"x"}',
    '{"type":"record","text":7,"signature":""}',
    `{"type":"record","text":"${'x'.repeat(8_193)}","signature":""}`,
    '{"type":"record","text":"{}","signature":""}',
    '{"type":"vote","text":"{}","signature":""}',
    `{"type":"record","text":"","signature":"${'x'.repeat(129)}"}`,
    `{"type":"records","records":[${many(65, '{"text":"","signature":""}')}]}`,
    `{"type":"want","ids":[${many(65, '"i"')}]}`,
    '{"type":"want","ids":["\\ud800"]}',
    `{"type":"want","ids":["${'i'.repeat(257)}"]}`,
    `{"type":"entries","buckets":[],"entries":[${many(1_001, '["i",1,2,0]')}],"reply":true}`,
    '{"type":"entries","buckets":[64],"entries":[],"reply":true}',
    '{"type":"entries","buckets":[],"entries":[["i",1,2]],"reply":true}',
    '{"type":"hashes","buckets":"00"}',
    `{"type":"mute","padding":"${'x'.repeat(70_000)}"}`,
  ].map(bytes);
  const broken = [Uint8Array.of(0x7b, 0xff, 0xfe), Uint8Array.of(1), Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)];
  for (const body of [...garbage, ...broken, new Uint8Array(65).fill(1)])
    equal(decode(body), null, new TextDecoder().decode(body.subarray(0, 80)));
});

test('deep JSON neither overflows the stack nor gets through', () => {
  for (const deep of [
    '['.repeat(60_000),
    `${'['.repeat(30_000)}${']'.repeat(30_000)}`,
    '{"a":'.repeat(12_000),
  ])
    for (const body of [`{"type":"mute","x":${deep}}`, `{"type":"want","ids":${deep}}`, deep]) {
      const message = decode(bytes(body));
      ok(message === null || JSON.stringify(message) === '{"type":"mute"}');
    }
});

test('whatever comes, decode answers with null or with a message that it would understand again', () => {
  const starts = Object.values(everyMessage).map((message) => encode(message));
  const torn = fc
    .tuple(fc.constantFrom(...starts), fc.nat(2_000), fc.uint8Array({ maxLength: 4 }), fc.boolean())
    .map(([body, at, patch, cut]) => {
      const copy = Uint8Array.from(body);
      copy.set(patch.subarray(0, Math.max(0, copy.length - (at % copy.length))), at % copy.length);
      return cut ? copy.subarray(0, at % copy.length) : copy;
    });
  const json = fc.json().map(bytes);
  const typed = fc
    .tuple(fc.constantFrom(...Object.keys(everyMessage)), fc.dictionary(fc.string(), fc.jsonValue()))
    .map(([type, fields]) => bytes(JSON.stringify({ ...fields, type })));
  const signedTexts = fc
    .tuple(fc.constantFrom('record', 'vote'), fc.oneof(fc.json(), fc.string({ maxLength: 100 })))
    .map(([type, text]) => bytes(JSON.stringify({ type, text, signature: '' })));
  fc.assert(
    fc.property(fc.oneof(torn, json, typed, signedTexts, fc.uint8Array({ maxLength: 200 })), (body) => {
      const message = decode(body);
      if (message !== null) deepEqual(decode(encode(message)), message);
    }),
    { numRuns: 3_000 },
  );
});

test('a vote is its voter’s, whoever brings it, and nobody can change a word of it', () => {
  const opened = {
    by: 'peer-a',
    vote: { subject: id, incarnation: 7, evidence: 'refused', life: 5, sequence: 12 },
  } as const;
  const envelope = sealVote(opened, sealOf('peer-a'));
  const seal = sealOf('peer-b');
  const arrived = decode(encode(envelope));
  ok(arrived?.type === 'vote');
  deepEqual({ by: arrived.by, vote: arrived.vote }, opened);
  equal(isVoters(arrived, seal), true);
  const other = openVote({ ...arrived, text: arrived.text.replace('"refused"', '"timeout"') });
  equal(other !== null && isVoters(other, seal), false);
  const stolen = openVote({ ...arrived, text: arrived.text.replace('peer-a', 'peer-b') });
  equal(stolen !== null && isVoters(stolen, seal), false);
});

test('a vote of a version that names no life of its voter is of the first', () => {
  const sealed = sealVote({ by: 'peer-a', vote }, sealOf('peer-a'));
  const text = sealed.text.replace('"life":5,', '');
  equal(openVote({ text, signature: sealed.signature })?.vote.life, 0);
});

test('a vote’s signature is none of a record, and garbage is no vote', () => {
  const seal = sealOf('peer-a');
  const sealed = sealVote({ by: 'peer-a', vote }, seal);
  const { text } = sealed;
  equal(isVoters({ ...sealed, signature: seal.sign(`record:${text}`) }, seal), false);
  const wrong = [
    '',
    'null',
    '{}',
    text.replace('slow', 'drowsy'),
    text.replace('12', '-1'),
    text.replace('i-0a', '\ud800'),
    `${text.slice(0, -1)},"pad":"${'x'.repeat(1_024)}"}`,
  ];
  for (const each of wrong) equal(openVote({ text: each, signature: '' }), null, each.slice(0, 40));
});
