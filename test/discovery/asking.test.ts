import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { deadline } from '../../src/discovery/discovery.ts';
import type { Effect } from '../../src/discovery/events.ts';
import { memberId } from '../../src/std/member-id.ts';
import { instant } from '../../src/std/time.ts';
import { among, entry, epochMs, listed, Subject } from './subject.ts';

const asksOf = (effects: readonly Effect[]): (readonly string[])[] =>
  effects.flatMap((effect) => (effect.type === 'ask' ? [effect.peerIds] : []));
const toldOf = (effects: readonly Effect[]): readonly Effect[] =>
  effects.filter(({ type }) => type === 'vouch');
const comes = (subject: Subject, peerId: string): readonly Effect[] =>
  subject.deliver({ type: 'stranger', peerId, isHere: true });
const asks = (subject: Subject, by: string, ...peerIds: string[]): readonly Effect[] =>
  toldOf(subject.deliver({ type: 'asked', by: memberId(by), peerIds }));

test('[Y7] others are asked about a stranger at once, and together about those that come within a second after it', () => {
  const subject = among('b', 'c', 'd');
  subject.now = instant(subject.now + 2_000);
  const asked = subject.now;
  deepEqual(asksOf(comes(subject, 'peer-x')), [['peer-x']]);
  for (const id of ['y', 'z']) deepEqual(asksOf(comes(subject, `peer-${id}`)), []);
  for (const by of ['b', 'c']) subject.vouch(by, entry('y', { ageMs: 9 }));
  ok(deadline(subject.state) <= asked + 1_000);
  subject.now = instant(asked + 1_000);
  deepEqual(asksOf(subject.deliver({ type: 'tick' })), [['peer-z']], 'y is known by now');
});

test('[Y7] who knocks again is asked about again, because others may know by then; who is only heard of is not', () => {
  for (const isHere of [true, false]) {
    const subject = among('b', 'c', 'd');
    const told = (): readonly Effect[] => subject.deliver({ type: 'stranger', peerId: 'peer-x', isHere });
    subject.now = instant(subject.now + 2_000);
    deepEqual(asksOf(told()), [['peer-x']]);
    deepEqual(asksOf(told()), []);
    subject.now = instant(subject.now + 1_000);
    deepEqual(asksOf(subject.deliver({ type: 'tick' })), isHere ? [['peer-x']] : []);
    subject.now = instant(subject.now + 4_000);
    deepEqual(asksOf(told()), isHere ? [['peer-x']] : []);
  }
});

test('[Y9] once somebody is alive no more, those at the door are asked about again: one may be the next life of it', () => {
  const subject = among('b', 'c', 'd');
  subject.judged(true, 'b');
  subject.deliver({ type: 'met', peerId: 'peer-b' });
  subject.now = instant(subject.now + 2_000);
  comes(subject, 'peer-new');
  subject.deliver({ type: 'stranger', peerId: 'peer-y', isHere: false });
  subject.now = instant(subject.now + 2_000);
  subject.deliver({ type: 'tick' });
  for (const by of ['c', 'd']) subject.vouch(by, entry('b', { peerId: 'peer-new', ageMs: 1_500 }));
  const judged = (live: boolean): readonly Effect[] =>
    subject.deliver({ type: 'judged', id: memberId('b'), live, left: false });
  subject.now = instant(subject.now + 2_000);
  deepEqual(asksOf(judged(true)), []);
  deepEqual(asksOf(judged(false)), [['peer-new']]);
  subject.now = instant(subject.now + 2_000);
  deepEqual(asksOf(judged(false)), [], 'which it was not before either');
});

test('[Y9] once somebody is alive no more, others are asked about the key that our own last look showed of it', () => {
  for (const [shown, about] of [
    [['peer-new'], ['peer-new']],
    [['peer-new', 'peer-b'], null],
    [['peer-new', 'peer-newer'], ['peer-newer']],
  ] as const) {
    const subject = among('b', 'c', 'd');
    subject.judged(true, 'b');
    for (const peerId of shown) {
      subject.deliver({ type: 'isolated' });
      subject.look(listed('b', { peerId }), listed('c'), listed('d'));
    }
    subject.now = instant(subject.now + 2);
    const event = { type: 'judged', id: memberId('b'), live: false, left: false } as const;
    deepEqual(asksOf(subject.deliver(event)), about === null ? [] : [about]);
    for (const by of ['c', 'd']) subject.vouch(by, entry('b', { peerId: 'peer-newer', ageMs: 1 }));
    equal(subject.state.bindings.members.get(memberId('b'))?.seen.peerId, 'peer-newer');
    equal(subject.state.bindings.members.get(memberId('b'))?.otherKey, null);
  }
});

test('[Y9] a key that two others saw before our last look showed that of one who has ended is asked about again, and they may have looked since', () => {
  for (const hasEnded of [true, false]) {
    const subject = among('b', 'c', 'd');
    if (hasEnded) for (const live of [true, false]) subject.judged(live, 'b');
    subject.now = instant(subject.now + 2_000);
    const say = (ageMs: number): Effect[] =>
      ['c', 'd'].flatMap((by) => subject.vouch(by, entry('b', { peerId: 'peer-new', ageMs })));
    deepEqual(asksOf(say(10_000)), []);
    subject.now = instant(subject.now + 4_999);
    deepEqual(asksOf(subject.deliver({ type: 'tick' })), []);
    equal(deadline(subject.state) <= subject.now + 1, hasEnded);
    subject.now = instant(subject.now + 1);
    deepEqual(asksOf(subject.deliver({ type: 'tick' })), hasEnded ? [['peer-new']] : []);
    subject.now = instant(subject.now + 1);
    say(1_000);
    equal(subject.state.bindings.members.get(memberId('b'))?.seen.peerId, hasEnded ? 'peer-new' : 'peer-b');
    subject.now = instant(subject.now + 10_000);
    deepEqual(asksOf(subject.deliver({ type: 'tick' })), [], 'which is enough');
  }
});

test('[Y9] a question that has time keeps no other waiting', () => {
  const subject = among('b', 'c', 'd');
  for (const live of [true, false]) subject.judged(live, 'b');
  subject.now = instant(subject.now + 2_000);
  for (const by of ['c', 'd']) subject.vouch(by, entry('b', { peerId: 'peer-new', ageMs: 10_000 }));
  deepEqual(asksOf(comes(subject, 'peer-x')), [['peer-new', 'peer-x']]);
});

test('[Y7] of a flood of strangers no more are asked about than may wait', () => {
  const subject = among('b', 'c');
  subject.now = instant(subject.now + 2_000);
  comes(subject, 'first');
  for (let i = 0; i < 500; i++) comes(subject, `knock-${i}`);
  subject.now = instant(subject.now + 1_000);
  const [about] = asksOf(subject.deliver({ type: 'tick' }));
  ok(about !== undefined && about.length <= 64, `${about?.length}`);
});

test('[Y3] who is asked tells whom it knows by a look of the last three epochs, and how long ago that was', () => {
  const subject = among('a', 'b', 'c');
  const lookedAt = subject.state.plan.begunAt;
  subject.judged(true, 'a', 'b', 'c');
  subject.now = instant(lookedAt + 20_000);
  deepEqual(asks(subject, 'a', 'peer-b', 'peer-nobody', 'peer-a', 'peer-self'), [
    { type: 'vouch', entries: [entry('b', { ageMs: 20_000 })], to: 'peer-a' },
  ]);
  deepEqual(asks(subject, 'nobody', 'peer-b'), []);
  subject.now = instant(lookedAt + 3 * epochMs);
  equal(asks(subject, 'b', 'peer-c').length, 1);
  subject.now = instant(lookedAt + 3 * epochMs + 1);
  deepEqual(asks(subject, 'c', 'peer-b'), []);
});

test('[Y3] nobody is told of who is not alive, and of the others how long ago the last look was', () => {
  const subject = among('a', 'b', 'c');
  subject.judged(true, 'b', 'c');
  subject.judged(false, 'b');
  subject.look(listed('a'), listed('b'), listed('c'));
  subject.now = instant(subject.now + 1);
  const ageMs = subject.now - subject.state.plan.begunAt;
  deepEqual(asks(subject, 'a', 'peer-b', 'peer-c'), [
    { type: 'vouch', entries: [entry('c', { ageMs })], to: 'peer-a' },
  ]);
});

test('[Y3] what two others saw is passed on as old as the older of their looks', () => {
  const subject = among('a', 'b', 'c');
  subject.vouch('b', entry('x', { ageMs: 7_000 }));
  subject.vouch('c', entry('x'));
  subject.judged(true, 'x');
  subject.now = instant(subject.now + 1_000);
  deepEqual(asks(subject, 'a', 'peer-x'), [
    { type: 'vouch', entries: [entry('x', { ageMs: 8_000 })], to: 'peer-a' },
  ]);
});

test('[Y3] who asks more often than every half second is not answered, which costs nobody else its answer', () => {
  const subject = among('a', 'b', 'c');
  subject.judged(true, 'b', 'c');
  equal(asks(subject, 'a', 'peer-b').length, 1);
  subject.now = instant(subject.now + 499);
  equal(asks(subject, 'a', 'peer-b').length, 0);
  equal(asks(subject, 'b', 'peer-c').length, 1);
  subject.now = instant(subject.now + 1);
  equal(asks(subject, 'a', 'peer-b').length, 1);
});

test('[Y3] who connects hears of those that looks showed since it may have looked, and of nobody else', () => {
  const subject = among('a', 'b');
  const meet = (): readonly Effect[] =>
    subject.deliver({ type: 'met', peerId: 'peer-a' }).filter(({ type }) => type === 'vouch');
  deepEqual(meet(), []);
  subject.vouch('a', entry('c', { ageMs: 4_000 }));
  subject.vouch('b', entry('c'));
  deepEqual(meet(), [{ type: 'vouch', entries: [entry('c', { ageMs: 4_000 })], to: 'peer-a' }]);
  subject.now = instant(subject.now + 6_000);
  deepEqual(meet(), []);
});

const told = (effects: readonly Effect[]): readonly string[] =>
  effects.flatMap((effect) => (effect.type === 'vouch' ? effect.entries.map(({ id }) => id) : []));

test('[Y3] where not all are connected with all a look in turn tells for three epochs of who came, with the key that it showed', () => {
  const others = Array.from({ length: 60 }, (_, i) => listed(`m-${i}`));
  const subject = new Subject();
  subject.look(...others);
  subject.now = instant(subject.now + 4 * epochMs);
  const tells = (peerId: string): boolean =>
    told(subject.look(...others, listed('new', { peerId }))).includes('new');
  ok(tells('peer-new'));
  subject.judged(true, 'new');
  ok(!tells('peer-stale'), 'the key that is bound is not the one that this look showed');
  ok(tells('peer-new'));
  subject.now = instant(subject.now + 3 * epochMs);
  ok(!tells('peer-new'));
});

test('[Y3] a look in turn of a few tells of nobody whom an earlier one told of', () => {
  const subject = among('b');
  deepEqual(told(subject.look(listed('b'), listed('c'))), ['c']);
  deepEqual(told(subject.look(listed('b'), listed('c'))), []);
});

test('[Y8] what was asked for is no word of a look: silence goes on', () => {
  const subject = among('b', 'c');
  const { silenceAt } = subject.state.plan;
  subject.now = instant(subject.now + 20_000);
  for (const by of ['b', 'c']) subject.vouch(by, entry('x', { ageMs: 5 }));
  deepEqual(subject.bound(), ['b', 'c', 'x']);
  equal(subject.state.plan.silenceAt, silenceAt);
  for (const by of ['b', 'c']) subject.vouch(by, entry('y'));
  ok(subject.state.plan.silenceAt > silenceAt);
});

test('[Y12] with a list of its own a node asks nobody, and answers nobody', () => {
  const subject = new Subject('own');
  subject.look(listed('a'), listed('b'));
  subject.judged(true, 'b');
  deepEqual(asksOf(comes(subject, 'peer-x')), []);
  deepEqual(asks(subject, 'a', 'peer-b'), []);
});
