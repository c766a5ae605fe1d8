import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import * as discovery from '../../src/discovery/discovery.ts';
import { memberId } from '../../src/std/member-id.ts';
import { among, entry, listed, Subject } from './subject.ts';

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
