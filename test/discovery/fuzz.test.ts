/** Whatever one member tells and asks, with an operator and strangers to help it: who is of the cluster is what EC2 lists. */
import { deepEqual, ok } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { deadline } from '../../src/discovery/discovery.ts';
import type { Effect, Entry, Event } from '../../src/discovery/events.ts';
import { memberId } from '../../src/std/member-id.ts';
import { instant } from '../../src/std/time.ts';
import { entry, listed, self, Subject } from './subject.ts';

const operator = listed('operator', { role: 'operator', address: null });
const honest = ['a', 'b', 'c', 'd'];
const truth = [self, ...['liar', ...honest].map((id) => listed(id)), operator];

const anyId = fc.constantFrom(...honest, 'liar', 'self', 'operator', 'ghost-1', 'ghost-2');
const anyKey = fc.oneof(anyId, fc.nat(200).map(String)).map((id) => `peer-${id}`);
const anyEntry: fc.Arbitrary<Entry> = fc
  .record({
    id: anyId,
    peerId: anyKey,
    role: fc.constantFrom('worker', 'operator', ''),
    ageMs: fc.option(fc.oneof(fc.constant(0), fc.nat(90_000), fc.maxSafeNat())),
    left: fc.boolean(),
    host: fc.constantFrom('host-a', 'elsewhere'),
  })
  .map(({ id, ageMs, left, host, ...rest }) => {
    const when = ageMs === null ? {} : { ageMs };
    return entry(id, { ...rest, ...when, ...(left ? { left } : {}), address: { host, port: 4001 } });
  });
/** Its word counts as its own; what nobody known says, as nobody's. */
const by = fc.constantFrom('liar', 'liar', 'liar', 'operator', 'ghost-1').map((id) => memberId(id));

const said: fc.Arbitrary<Event | readonly Event[]> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .record({ by, entries: fc.array(anyEntry, { maxLength: 128, size: 'max' }) })
      .map((vouched): Event => ({ type: 'vouched', ...vouched })),
  },
  fc
    .record({ by, peerIds: fc.array(anyKey, { maxLength: 64, size: 'max' }) })
    .map((asked): Event => ({ type: 'asked', ...asked })),
  fc
    .record({ peerId: fc.nat(200).map((key) => `peer-${key}`), isHere: fc.boolean() })
    .map((stranger): Event => ({ type: 'stranger', ...stranger })),
  fc
    .record({ knocks: fc.nat(200), isHere: fc.boolean() })
    .map(({ knocks, isHere }): readonly Event[] =>
      Array.from({ length: knocks }, (_, key) => ({ type: 'stranger', peerId: `peer-${key}`, isHere })),
    ),
  // By a key that it has, or by one that it made up; nobody signs by the key of another.
  fc
    .record({ peerId: fc.constantFrom('peer-liar', 'peer-7'), id: anyId.map((id) => memberId(id)) })
    .map((signed): Event => ({ type: 'signed', ...signed })),
  fc.constantFrom<Event>(
    { type: 'met', peerId: 'peer-liar' },
    { type: 'parted', peerId: 'peer-liar' },
    { type: 'met', peerId: 'peer-7' },
  ),
);

const script = fc.array(fc.tuple(said, fc.constantFrom(0, 0, 5, 300, 1_000, 8_000)), {
  maxLength: 60,
  size: 'max',
});

test('[Y1] [Y2] [Y3] [Y7] no order of vouchers, questions, knocks and signatures of one member binds, unbinds or grows anything', () => {
  fc.assert(
    fc.property(script, fc.constantFrom('none', 'd'), (events, unlisted) => {
      const subject = cluster();
      const bound = boundIn(subject);
      const shown = truth.filter(({ id }) => id !== unlisted);
      const world: World = { subject, shown, looks: 0, answeredAt: -Infinity };
      for (const [told, ms] of events) {
        for (const event of [told].flat()) heed(world, subject.deliver(event));
        pass(world, ms);
        deepEqual(boundIn(subject), bound);
        small(subject);
      }
      ok(world.looks <= 5 + subject.now / 1_000, `${world.looks} looks in ${subject.now} ms`);
    }),
    { numRuns: 100 },
  );
});

/** All that are listed are alive, and so was who is listed no more. */
function cluster(): Subject {
  const subject = new Subject();
  subject.look(...truth.slice(1));
  subject.judged(true, 'liar', ...honest);
  return subject;
}

/** EC2 tells the truth at once. */
type World = { readonly subject: Subject; readonly shown: typeof truth; looks: number; answeredAt: number };

function heed(world: World, effects: readonly Effect[]): void {
  const { subject, shown } = world;
  ok(effects.length <= 80, `${effects.length} effects`);
  for (const effect of effects) {
    if (effect.type === 'vouch' && effect.to === 'peer-liar') {
      ok(effect.entries.length > 0 && subject.now - world.answeredAt >= 500, 'answered too often');
      world.answeredAt = subject.now;
    }
    if (effect.type === 'ask') ok(effect.peerIds.length <= 64);
    ok(effect.type !== 'barred', 'somebody was cut off');
    ok(effect.type !== 'settled' || !effect.admitted, 'a stranger was let in');
    if (effect.type !== 'look') continue;
    world.looks++;
    heed(world, subject.deliver({ type: 'looked', listed: shown }));
  }
}

function pass(world: World, ms: number): void {
  const { subject } = world;
  const end = subject.now + ms;
  for (let due = deadline(subject.state); due <= end; due = deadline(subject.state)) {
    subject.now = instant(Math.max(subject.now, due));
    heed(world, subject.deliver({ type: 'tick' }));
  }
  subject.now = instant(end);
}

const boundIn = ({ state }: Subject): readonly string[] =>
  [...state.bindings.members.values()].map(({ seen: { id, peerId, address, role } }) =>
    [id, peerId, address?.host, role].join(' '),
  );

function small({ state }: Subject): void {
  const { claims, strangers, asking, gone, newcomers, rivals, owners } = state;
  ok(strangers.size <= 64 && asking.about.size <= 64 && gone.size <= 64 && newcomers.length <= 128);
  ok(rivals.size + owners.size <= truth.length);
  deepEqual(
    [...claims.held.keys()].filter((voucher) => voucher !== memberId('liar')),
    [],
  );
  ok(claims.size <= 1_000);
}
