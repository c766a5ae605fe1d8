import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import * as discovery from '../../src/discovery/discovery.ts';
import type { Effect } from '../../src/discovery/events.ts';
import { memberId } from '../../src/std/member-id.ts';
import { instant } from '../../src/std/time.ts';
import { among, entry, listed, Subject } from './subject.ts';

const minute = 60_000;
const anew = { peerId: 'peer-new' };

/** The key that b is admitted by, of its two. */
function keyOfB({ state }: Subject): string {
  const admitted = ['peer-b', 'peer-new'].filter((peerId) => discovery.isAdmitted(state, peerId));
  equal(admitted.length, 1);
  return admitted[0]!;
}

/** Two that say the same of b. */
function bothSay(subject: Subject, change: Parameters<typeof entry>[1], ...ages: readonly number[]): void {
  for (const [i, by] of ['c', 'd'].entries()) {
    const ageMs = ages[i] ?? 0;
    subject.vouch(by, entry('b', ageMs === 0 ? change! : { ...change, ageMs }));
  }
}

test('[Y9] an instance with a new key is bound anew, and an answer within a minute that shows the old one is stale', () => {
  const subject = among('b');
  subject.now = instant(subject.now + minute);
  ok(subject.look(listed('b', anew)).some(({ type }) => type === 'bound'));
  equal(keyOfB(subject), 'peer-new');
  subject.look(listed('b'));
  equal(keyOfB(subject), 'peer-new');
  subject.now = instant(subject.now + minute);
  subject.look(listed('b'));
  equal(keyOfB(subject), 'peer-b');
});

test('[Y9] what a look of our own showed within a minute stands, whatever two others repeat', () => {
  const subject = among('c', 'd');
  subject.look(listed('b', anew), listed('c'), listed('d'));
  bothSay(subject, {});
  equal(keyOfB(subject), 'peer-new');
  bothSay(subject, {}, 90_000, 20_000);
  equal(keyOfB(subject), 'peer-new');
  subject.look(listed('b', anew), listed('c'), listed('d'));
  equal(keyOfB(subject), 'peer-new');
});

test('[Y9] what two others say of a key gives way to our own next look, though they were believed', () => {
  const subject = among('b', 'c', 'd');
  subject.now = instant(subject.now + minute);
  subject.look(listed('b'), listed('c'), listed('d'));
  subject.now = instant(subject.now + minute);
  subject.judged(true, 'b');
  bothSay(subject, anew);
  equal(keyOfB(subject), 'peer-new');
  subject.look(listed('b'), listed('c'), listed('d'));
  equal(keyOfB(subject), 'peer-b');
  const agoMs = subject.now - subject.state.plan.begunAt;
  bothSay(subject, anew, agoMs + 1, agoMs + 1);
  equal(keyOfB(subject), 'peer-b');
});

test('[Y9] a new key counts by the word of two whose looks were a minute after the first that showed the old one', () => {
  const subject = among('b', 'c', 'd');
  const shownAt = subject.state.plan.begunAt;
  subject.now = instant(shownAt + minute + 5_000);
  for (const ages of [
    [6_000, 6_000],
    [6_000, 0],
    [0, 6_000],
  ]) {
    bothSay(subject, anew, ...ages);
    equal(keyOfB(subject), 'peer-b', ages.join());
  }
  bothSay(subject, anew, 5_000, 1_000);
  equal(keyOfB(subject), 'peer-new');
});

test('[Y9] where looks do not tell which key is newer, who is alive keeps its own for a minute at most', () => {
  const subject = among('b', 'c', 'd');
  subject.judged(true, 'b');
  subject.look(listed('b', anew), listed('c'), listed('d'));
  bothSay(subject, anew);
  equal(keyOfB(subject), 'peer-b');
  subject.judged(false, 'b');
  subject.look(listed('b', anew), listed('c'), listed('d'));
  equal(keyOfB(subject), 'peer-new');
  subject.judged(true, 'b');
  subject.now = instant(subject.now + minute);
  subject.look(listed('b'), listed('c'), listed('d'));
  equal(keyOfB(subject), 'peer-b');
});

test('[Y9] whose holder was alive and is no more, its key gives way to what two others saw after our own look', () => {
  const subject = among('b', 'c', 'd');
  subject.now = instant(subject.state.plan.begunAt + 10_000);
  for (const live of [false, true, false]) {
    bothSay(subject, anew);
    equal(keyOfB(subject), 'peer-b');
    subject.judged(live, 'b');
  }
  subject.judged(false, 'b');
  bothSay(subject, anew, 10_000, 1);
  equal(keyOfB(subject), 'peer-b');
  bothSay(subject, anew, 9_999, 1);
  equal(keyOfB(subject), 'peer-new');
  bothSay(subject, {});
  equal(keyOfB(subject), 'peer-b', 'and nothing that we saw ourselves stands against them');
});

test('[Y9] that the holder of a key ended says nothing of the key after it, which our own look showed', () => {
  const subject = among('b', 'c', 'd');
  subject.judged(true, 'b');
  subject.judged(false, 'b');
  subject.look(listed('b', anew), listed('c'), listed('d'));
  subject.now = instant(subject.now + 1);
  bothSay(subject, {});
  equal(keyOfB(subject), 'peer-new');
});

test('[Y9] an old key is stale for a minute by the word of two others as well', () => {
  const subject = among('b', 'c', 'd');
  subject.now = instant(subject.now + minute);
  for (const change of [anew, {}]) {
    bothSay(subject, change);
    equal(keyOfB(subject), 'peer-new');
  }
  subject.now = instant(subject.now + minute);
  bothSay(subject, {});
  equal(keyOfB(subject), 'peer-b');
});

test('[Y9] who stands at the door with a key that two others saw after our own look is let in, if nobody is alive and connected with the other', () => {
  for (const [live, words, key] of [
    [false, [], 'peer-new'],
    [true, ['met'], 'peer-b'],
    [true, [], 'peer-new'],
    [true, ['met', 'parted'], 'peer-new'],
  ] as const) {
    const subject = among('b', 'c', 'd');
    if (live) subject.judged(true, 'b');
    for (const type of words) subject.deliver({ type, peerId: 'peer-b' });
    subject.now = instant(subject.now + 10_000);
    subject.deliver({ type: 'stranger', peerId: 'peer-new', isHere: false });
    bothSay(subject, anew);
    equal(keyOfB(subject), 'peer-b', 'it was only heard of');
    subject.deliver({ type: 'stranger', peerId: 'peer-new', isHere: true });
    bothSay(subject, anew);
    equal(keyOfB(subject), key);
  }
});

test('[Y9] so it is by looks less than a minute before our own, which may have been shown what was before them', () => {
  for (const [agoMs, live, isHere, key] of [
    [minute - 1, false, true, 'peer-new'],
    [minute, false, true, 'peer-b'],
    [1, true, true, 'peer-b'],
    [1, false, false, 'peer-b'],
  ] as const) {
    const subject = new Subject();
    subject.now = instant(minute);
    subject.look(listed('b'), listed('c'), listed('d'));
    if (live) subject.judged(true, 'b');
    subject.deliver({ type: 'stranger', peerId: 'peer-new', isHere });
    const ageMs = subject.now - subject.state.plan.begunAt + agoMs;
    bothSay(subject, anew, ageMs, ageMs);
    equal(keyOfB(subject), key);
  }
});

test('[Y9] so is who stands there with a key that our own look shows', () => {
  for (const isHere of [false, true]) {
    const subject = among('b', 'c', 'd');
    subject.judged(true, 'b');
    subject.now = instant(subject.now + 10_000);
    subject.deliver({ type: 'stranger', peerId: 'peer-new', isHere });
    subject.look(listed('b', anew), listed('c'), listed('d'));
    equal(keyOfB(subject), isHere ? 'peer-new' : 'peer-b');
  }
});

/** Whether this asks if b is still there by the key that it has. */
const isDisputed = (effects: readonly Effect[]): boolean =>
  effects.some((effect) => effect.type === 'disputed' && effect.id === memberId('b'));

const unreached = { type: 'unreached', id: memberId('b') } as const;

test('[Y9] where looks do not tell which key is newer, its holder is asked whether it is there, and if it is not the other one counts', () => {
  for (const [live, isOwn] of [
    [true, true],
    [true, false],
    [false, false],
  ] as const) {
    const subject = among('b', 'c', 'd');
    if (live) subject.judged(true, 'b');
    subject.now = instant(subject.now + 10_000);
    const from = subject.effects.length;
    if (isOwn) subject.look(listed('b', anew), listed('c'), listed('d'));
    else bothSay(subject, anew);
    ok(isDisputed(subject.effects.slice(from)));
    equal(keyOfB(subject), 'peer-b');
    const effects = subject.deliver(unreached);
    equal(keyOfB(subject), 'peer-new');
    ok(effects.some((effect) => effect.type === 'barred' && effect.peerId === 'peer-b'));
    deepEqual(subject.deliver(unreached), []);
    equal(keyOfB(subject), 'peer-new');
  }
});

test('[Y9] who is there keeps its key, and so does who is shown with it again', () => {
  for (const proof of ['met', 'shown'] as const) {
    const subject = among('b', 'c', 'd');
    subject.judged(true, 'b');
    subject.now = instant(subject.now + 10_000);
    ok(isDisputed(subject.look(listed('b', anew), listed('c'), listed('d'))));
    if (proof === 'shown') subject.look(listed('b'), listed('c'), listed('d'));
    else for (const type of ['met', 'parted'] as const) subject.deliver({ type, peerId: 'peer-b' });
    subject.deliver(unreached);
    equal(keyOfB(subject), 'peer-b', proof);
  }
});

test('[Y9] who is connected is asked once it is so no more, for it may have been gone for long', () => {
  const subject = among('b', 'c', 'd');
  subject.judged(true, 'b');
  subject.deliver({ type: 'met', peerId: 'peer-b' });
  subject.now = instant(subject.now + 10_000);
  ok(!isDisputed(subject.look(listed('b', anew), listed('c'), listed('d'))));
  ok(isDisputed(subject.deliver({ type: 'parted', peerId: 'peer-b' })));
  subject.deliver(unreached);
  equal(keyOfB(subject), 'peer-new');
});

test('[Y9] that nobody is there makes no key newer than one that was first shown a minute after it', () => {
  const subject = among('b', 'c', 'd');
  subject.now = instant(subject.now + minute);
  subject.look(listed('b', anew), listed('c'), listed('d'));
  subject.judged(true, 'b');
  const from = subject.effects.length;
  subject.look(listed('b'), listed('c'), listed('d'));
  ok(!isDisputed(subject.effects.slice(from)));
  subject.deliver(unreached);
  equal(keyOfB(subject), 'peer-new');
});

test('[Y9] what two others saw before we did tells nothing of where an instance is', () => {
  const subject = among('b', 'c', 'd');
  const moved = { address: { host: 'elsewhere', port: 4001 } };
  const agoMs = subject.now - subject.state.plan.begunAt;
  bothSay(subject, moved, agoMs + 1, agoMs + 1);
  equal(subject.state.bindings.members.get(memberId('b'))?.seen.address?.host, 'host-b');
  bothSay(subject, moved);
  equal(subject.state.bindings.members.get(memberId('b'))?.seen.address?.host, 'elsewhere');
});

test('[Y9] where looks do not tell which key is newer, and nobody is alive, the last one counts, back and forth', () => {
  const subject = among('c');
  for (const shown of [anew, {}, anew]) {
    subject.look(listed('b', shown), listed('c'));
    equal(keyOfB(subject), shown === anew ? 'peer-new' : 'peer-b');
  }
});

test('[Y9] what was remembered gives way to a word from later looks', () => {
  const subject = new Subject();
  subject.remembered(20_000, entry('b', { ageMs: 30_000 }), entry('c'), entry('d'));
  bothSay(subject, anew, 49_000, 49_500);
  equal(keyOfB(subject), 'peer-new');
  const settled = new Subject();
  settled.remembered(20_000, entry('b', { ageMs: 30_000 }), entry('c'), entry('d'));
  settled.judged(true, 'b');
  bothSay(settled, anew, 11_000);
  equal(keyOfB(settled), 'peer-b');
  settled.now = instant(settled.now + 10_000);
  bothSay(settled, anew);
  equal(keyOfB(settled), 'peer-new');
});

test('[Y9] of two that are listed with one key at first the one has it that the owner of the key says it is', () => {
  const thief = listed('thief', { peerId: 'peer-b' });
  for (const order of [
    [listed('b'), thief],
    [thief, listed('b')],
  ]) {
    const subject = new Subject();
    subject.look(...order, listed('c'));
    const effects = subject.deliver({ type: 'signed', peerId: 'peer-b', id: memberId('b') });
    deepEqual(subject.bound().toSorted(), ['b', 'c']);
    equal(effects.length > 0, order[0] === thief);
    for (const [peerId, id] of [
      ['peer-b', 'nobody'],
      ['peer-c', 'thief'],
      ['peer-self', 'thief'],
    ] as const)
      deepEqual(subject.deliver({ type: 'signed', peerId, id: memberId(id) }), []);
    subject.look(...order, listed('c'));
    deepEqual(subject.bound().toSorted(), ['b', 'c']);
  }
});

test('[Y9] what the owner of a key signed before it was listed counts when it is', () => {
  const thief = listed('thief', { peerId: 'peer-b' });
  const subject = new Subject();
  subject.look(thief, listed('c'));
  deepEqual(subject.deliver({ type: 'signed', peerId: 'peer-b', id: memberId('b') }), []);
  subject.look(thief, listed('b'), listed('c'));
  deepEqual(subject.bound().toSorted(), ['b', 'c']);
});

test('[Y9] of two that are copies of one disk, and both sign by its key, one is a member and remains it', () => {
  const copy = listed('copy', { peerId: 'peer-b' });
  const subject = new Subject();
  let changes = 0;
  for (let round = 0; round < 10; round++) {
    const effects = [
      ...subject.look(listed('b'), copy, listed('c')),
      ...['copy', 'b'].flatMap((id) =>
        subject.deliver({ type: 'signed', peerId: 'peer-b', id: memberId(id) }),
      ),
    ];
    changes += effects.filter(({ type }) => type === 'unbound').length;
    ok(discovery.isAdmitted(subject.state, 'peer-b'));
  }
  equal(changes, 1);
  subject.look(listed('copy', { left: true }), listed('b'), listed('c'));
  deepEqual(subject.bound().toSorted(), ['b', 'c'], 'when it goes the other one has it');
});

test('[Y9] the own key is nobody else’s: who tags itself with it is a fact in the log and no member', () => {
  const subject = among('b', 'c');
  const claim = { peerId: 'peer-self' };
  const effects = subject.look(listed('thief', claim), listed('b'), listed('c'));
  ok(effects.some((effect) => effect.type === 'fact' && effect.fact.fact === 'discovery.failed'));
  subject.vouch('b', entry('thief', claim));
  subject.vouch('c', entry('thief', claim));
  subject.deliver({ type: 'signed', ...claim, id: memberId('thief') });
  deepEqual(subject.bound(), ['b', 'c']);
  ok(!discovery.isAdmitted(subject.state, 'peer-self'));
});
