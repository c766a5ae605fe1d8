/** Whatever peers say, in whatever order: the registry stands, stays within its bounds and goes back for nobody. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decode, encode } from '../../src/node/message.ts';
import type { Event, RegistryMessage } from '../../src/registry/events.ts';
import { outranks, type NodeRecord } from '../../src/registry/record.ts';
import { deadline, viewHash } from '../../src/registry/records.ts';
import { isOwners, openRecord } from '../../src/registry/sealed.ts';
import type { State, Version } from '../../src/registry/state.ts';
import { bucketCount, bucketHashes, emptyView, restate } from '../../src/registry/view-hash.ts';
import { memberId } from '../../src/std/member-id.ts';
import { record, rig, sealed, sealOf, type Rig } from './rig.ts';

const name = fc.constantFrom('a', 'b', 'c', 'd', 'self', 'z');
const peerId = name.map((each) => `peer-${each}`);
const small = fc.integer({ min: 0, max: 4 });
const wild = fc.oneof(
  small,
  small,
  fc.constantFrom(2 ** 48 - 1, 2 ** 48, Number.MAX_SAFE_INTEGER),
  fc.maxSafeNat(),
);

/** Of its owner, of somebody else's hand, or of an instance that is not the owner's. */
const anySealed = fc
  .record({
    by: name,
    as: name,
    incarnation: wild,
    sequence: wild,
    kind: fc.constantFrom('true', 'true', 'forged'),
  })
  .map(({ by, as, incarnation, sequence, kind }) => {
    const own = sealed(
      record(by, { incarnation, sequence, id: memberId(kind === 'true' ? `i-${by}` : `i-${as}`) }),
    );
    return kind === 'forged' && by === as ? { ...own, signature: sealOf('peer-z').sign(own.text) } : own;
  });
const entry = fc.record({
  id: name.map((each) => memberId(`i-${each}`)),
  incarnation: wild,
  sequence: wild,
  dead: fc.boolean(),
});
const hash = fc.record({ high: fc.nat(0xffffffff), low: fc.nat(0xffffffff) });

const message: fc.Arbitrary<RegistryMessage> = fc.oneof(
  anySealed.map((each) => ({ type: 'record', ...each }) as const),
  fc.array(anySealed, { maxLength: 8 }).map((records) => ({ type: 'records', records }) as const),
  fc
    .array(hash, { minLength: bucketCount, maxLength: bucketCount })
    .map((buckets) => ({ type: 'hashes', buckets }) as const),
  fc.tuple(fc.array(entry, { maxLength: 12 }), fc.boolean()).map(([entries, reply]) => ({
    type: 'entries' as const,
    buckets: Array.from({ length: bucketCount }, (_, i) => i),
    entries,
    reply,
  })),
  fc.array(name, { maxLength: 10 }).map((names) => ({
    type: 'want' as const,
    ids: names.map((each) => memberId(`i-${each}`)),
  })),
);

const via = fc.constantFrom('direct', 'direct', 'gossip');
const event: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ type: fc.constant('message'), author: fc.option(peerId), message, via }),
  },
  fc.record({ type: fc.constant('connected'), peerId }),
  fc.record({ type: fc.constant('disconnected'), peerId }),
  fc.tuple(name, name).map(([each, peer]) => bound(each, peer === 'z' ? peer : each)),
  name.map((each) => ({ type: 'unbound' as const, id: memberId(`i-${each}`) })),
  fc.record({
    type: fc.constant('judged'),
    id: name.map((each) => memberId(`i-${each}`)),
    dead: fc.boolean(),
  }),
  fc.record({ type: fc.constant('beaten'), peerId, hash }),
  fc.constant({ type: 'refute' as const }),
  fc.constant({ type: 'revised' as const, change: { engine: { phase: 'none' as const } } }),
  fc.constant({ type: 'tick' as const }),
);

const bound = (each: string, peer: string): Event => ({
  type: 'bound',
  id: memberId(`i-${each}`),
  peerId: `peer-${peer}`,
});

/** The next event comes after these ms; sometimes the last message comes again. */
const script = fc.array(fc.tuple(event, fc.constantFrom(0, 0, 1, 50, 400, 1_000, 20_000), fc.boolean()), {
  maxLength: 120,
});

test('[G16] no order of true, forged, doubled, late and lying messages takes a version back or grows the state', () => {
  fc.assert(
    fc.property(script, (events) => {
      const node = rig(record('self', { incarnation: 2 }));
      const highest = new Map<string, Version>();
      for (const [each, ms, twice] of events) {
        node.now += ms;
        for (let times = twice ? 2 : 1; times > 0; times--) {
          const before = node.state.own;
          const effects = node.on(overTheWire(each));
          ok(effects.length <= 200, `${effects.length} effects`);
          check(node, before, highest);
          ok(each.type !== 'tick' || deadline(node.state) > node.now);
        }
      }
    }),
    { numRuns: 400 },
  );
});

test('[G16] torn, deep and huge bodies through the codec leave the registry as it was', () => {
  const node = rig();
  node.bind('a', 'b');
  node.connect('a', 'b');
  const whole = encode({ type: 'records', records: [sealed(record('a')), sealed(record('b'))] });
  const before = viewHash(node.state);
  const bodies = [
    ...Array.from({ length: whole.length }, (_, cut) => whole.subarray(0, cut)),
    new TextEncoder().encode(`{"type":"records","records":${'['.repeat(60_000)}`),
    new TextEncoder().encode(`{"type":"record","text":"${'['.repeat(8_192)}","signature":""}`),
    new Uint8Array(1_000_000).fill(0x7b),
  ];
  for (const body of bodies) {
    const decoded = decode(body);
    if (decoded?.type === 'record' || decoded?.type === 'records') node.hear('a', decoded);
  }
  deepEqual(viewHash(node.state), before);
});

test('[G16] fields as deep as a record may be reach nobody, so nobody stumbles over them', () => {
  const node = rig();
  node.bind('a');
  const deep = `${'['.repeat(3_000)}${']'.repeat(3_000)}`;
  const text = `${JSON.stringify(record('a')).slice(0, -1)},"__proto__":{"role":"x"},"deep":${deep}}`;
  const signed = openRecord({ text, signature: sealOf('peer-a').sign(`record:${text}`) });
  ok(signed !== null);
  const [effect] = node.hear('a', { type: 'record', ...signed });
  ok(effect?.type === 'recorded');
  deepEqual(structuredClone(effect.record), record('a'));
});

test('[G16] a flood from one member leaves every collection within its bound', () => {
  const node = rig();
  node.bind('a', 'b');
  node.connect('a');
  for (let i = 0; i < 5_000; i++) {
    node.now += 1;
    node.hear('a', { type: 'record', ...sealed(record(`s${i}`)) });
    node.hear('a', { type: 'record', ...sealed(record('a', { sequence: i })) });
    node.on({ type: 'message', author: `peer-g${i}`, message: forgery(i), via: 'gossip' });
  }
  bounded(node.state);
  equal(node.state.members.size, 2);
});

const forgery = (i: number): RegistryMessage => ({
  type: 'record',
  ...sealed(record('b', { sequence: i })),
  signature: 'none',
});

/** What the codec makes of a message is what the machine gets; what it refuses does not get there. */
function overTheWire(each: Event): Event {
  if (each.type !== 'message') return each;
  const decoded = decode(encode(each.message));
  return decoded?.type === each.message.type
    ? { ...each, message: decoded as RegistryMessage }
    : { type: 'tick' };
}

function check({ state }: Rig, before: NodeRecord, highest: Map<string, Version>): void {
  bounded(state);
  ok(!outranks(before, state.own), 'our own record went back');
  const view = emptyView();
  restate(view, state.own.id, null, { ...versionOf(state.own), dead: false });
  for (const [id, { peerId: owner, held, dead }] of state.members) {
    if (held === null) continue;
    const { signed } = held;
    equal(signed.record.id, id);
    equal(signed.record.peerId, owner);
    ok(isOwners(signed, state.seal));
    const key = `${id} ${owner}`;
    const last = highest.get(key);
    ok(last === undefined || !outranks(last, signed.record), `${key} went back`);
    highest.set(key, versionOf(signed.record));
    restate(view, id, null, { ...versionOf(signed.record), dead });
  }
  deepEqual(viewHash(state), view.total);
  deepEqual(bucketHashes(state.view), bucketHashes(view));
}

const versionOf = ({ incarnation, sequence }: Version): Version => ({ incarnation, sequence });

function bounded(state: State): void {
  ok(state.members.size <= 1_000);
  ok(state.pending.size <= 64);
  ok(state.tombstones.size <= 1_000);
  ok(state.asked.size <= 2_000);
  ok(state.muted.size <= 256);
  for (const peer of state.peers.values()) ok(peer.queue.length <= 1_000);
}
