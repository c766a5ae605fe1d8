import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { deadline, isAdmitted } from '../../src/discovery/discovery.ts';
import type { Effect } from '../../src/discovery/events.ts';
import { instant } from '../../src/std/time.ts';
import { among, entry, listed, self, Subject } from './subject.ts';

const hour = 3_600_000;
const typesOf = (effects: readonly Effect[]): string[] => effects.map(({ type }) => type);
const noted = (effects: readonly Effect[]): string[] | null => {
  const note = effects.find((effect) => effect.type === 'remember');
  return note === undefined ? null : note.entries.map(({ id }) => id);
};
/** When it looks if nothing else happens, ms from now. */
const looksIn = (subject: Subject): number => {
  const from = subject.now;
  subject.untilLook();
  return subject.now - from;
};

test('[Y13] who was away for a moment binds whom it remembers, and looks in ten seconds at most where nobody answers', () => {
  const subject = new Subject();
  deepEqual(typesOf(subject.remembered(20_000, entry('b'), entry('c'))), ['bound', 'bound']);
  ok(isAdmitted(subject.state, 'peer-b'));
  const ms = looksIn(subject);
  ok(ms >= 5_000 && ms <= 10_000, `${ms} ms`);
});

test('[Y13] two that answer spare it the look, and one of more does not', () => {
  const subject = new Subject();
  subject.remembered(20_000, entry('b'), entry('c'), entry('d'));
  subject.judged(true, 'b');
  ok(subject.state.plan.bootAt <= 10_000);
  subject.judged(true, 'c', 'd');
  equal(subject.state.plan.bootAt, Infinity);
  subject.now = instant(12_000);
  deepEqual(subject.deliver({ type: 'tick' }), []);
  // Its words count from now on as those of one that has looked.
  subject.vouch('b');
  deepEqual(noted(subject.vouch('c')), ['b', 'c', 'd']);
});

test('[Y13] the only other one is enough', () => {
  const subject = new Subject();
  subject.remembered(20_000, entry('b'));
  subject.judged(true, 'b');
  equal(subject.state.plan.bootAt, Infinity);
});

test('[Y13] who was away for longer than others tell what came about looks at once, and is among its own meanwhile', () => {
  const subject = new Subject();
  subject.remembered(46_000, entry('b'), entry('c'));
  subject.judged(true, 'b', 'c');
  ok(isAdmitted(subject.state, 'peer-b'));
  const ms = looksIn(subject);
  ok(ms <= 500, `${ms} ms`);
  subject.deliver({ type: 'look-failed', kind: 'unreachable', why: 'the API is away' });
  deepEqual(subject.bound(), ['b', 'c']);
});

test('[Y13] its first answer ends what is remembered from longer ago, but for who is in it or alive', () => {
  const subject = new Subject();
  subject.remembered(hour, ...['b', 'c', 'd', 'e', 'f'].map((id) => entry(id)));
  subject.judged(true, 'c');
  subject.untilLook();
  subject.deliver({ type: 'looked', listed: [] });
  deepEqual(subject.bound(), ['b', 'c', 'd', 'e', 'f'], 'an answer without ourselves is none');
  const effects = subject.look(listed('b'), listed('d', { peerId: 'peer-new' }), listed('g'));
  deepEqual(subject.bound(), ['b', 'c', 'd', 'g']);
  for (const gone of ['e', 'f'])
    ok(effects.some((effect) => effect.type === 'barred' && effect.peerId === `peer-${gone}`));
  ok(!isAdmitted(subject.state, 'peer-d') && isAdmitted(subject.state, 'peer-new'));
});

test('[Y13] what was noted a moment ago is worth what a node has that did not end: no answer takes many of it away', () => {
  const subject = new Subject();
  subject.remembered(20_000, ...['b', 'c', 'd', 'e', 'f'].map((id) => entry(id)));
  subject.look(listed('b'));
  equal(subject.bound().length, 5);
});

test('[Y13] nothing is remembered for longer than six hours, by whatever clock, nor beside a list of its own', () => {
  for (const ageMs of [6 * hour + 1, -6 * hour - 1]) {
    const subject = new Subject();
    deepEqual(subject.remembered(ageMs, entry('b')), []);
  }
  deepEqual(new Subject('own').remembered(1_000, entry('b')), []);
  const ahead = new Subject();
  ahead.remembered(-1, entry('b'));
  ok(looksIn(ahead) <= 500, 'a clock that was set back vouches for nothing');
});

test('[Y13] neither ourselves nor who has our key is remembered', () => {
  const subject = new Subject();
  subject.remembered(
    1_000,
    entry('self', { peerId: 'peer-x' }),
    entry('thief', { peerId: 'peer-self' }),
    entry('b'),
  );
  deepEqual(subject.bound(), ['b']);
});

test('[Y13] it is noted with a look and with the word of two, three times in an epoch at most', () => {
  const subject = among('b', 'c', 'd');
  subject.now = instant(subject.now + 1_000);
  subject.vouch('b');
  equal(noted(subject.vouch('c')), null);
  subject.now = instant(subject.now + 10_000);
  equal(noted(subject.vouch('c')), null, 'of one alone, again, it is no word');
  deepEqual(noted(subject.vouch('b')), ['b', 'c', 'd']);
  subject.now = instant(Math.max(subject.now, deadline(subject.state)));
  subject.now = instant(subject.now + 10_000);
  deepEqual(noted(subject.look(listed('b'), listed('c'), listed('d'))), ['b', 'c', 'd']);
});

test('[Y13] who came is noted within a second among few, and with the next word among many', () => {
  const few = among('b', 'c');
  for (const by of ['b', 'c']) few.vouch(by, entry('x'));
  for (const by of ['b', 'c']) few.vouch(by, entry('y'));
  equal(deadline(few.state), few.now + 1_000);
  few.now = deadline(few.state);
  deepEqual(noted(few.deliver({ type: 'tick' })), ['b', 'c', 'x', 'y']);
  ok(deadline(few.state) > few.now + 1_000, 'once is enough');
  const many = among(...Array.from({ length: 900 }, (_, i) => `m${i}`));
  many.judged(true, 'm0', 'm1');
  for (const by of ['m0', 'm1']) many.vouch(by, entry('x'));
  many.now = instant(many.now + 9_999);
  equal(noted(many.deliver({ type: 'tick' })), null);
  many.now = instant(many.now + 1);
  equal(noted(many.deliver({ type: 'tick' }))?.length, 901);
});

test('[Y13] with a list of its own, or before it knows anything, nobody who came is noted', () => {
  const own = new Subject('own');
  own.look(listed('b'));
  equal(noted(own.look(listed('b'), listed('c'))), null);
  ok(deadline(own.state) > own.now);
  const young = new Subject();
  young.remembered(20_000, entry('b'), entry('c'));
  for (const by of ['b', 'c']) equal(noted(young.vouch(by, entry('x'))), null);
  deepEqual(young.bound(), ['b', 'c', 'x']);
});

test('[Y13] with whom it notes stands how long ago a look showed it', () => {
  const subject = among('b', 'c', 'd');
  const { begunAt } = subject.state.plan;
  subject.now = instant(begunAt + 12_000);
  subject.vouch('b');
  const note = subject.vouch('c').find((effect) => effect.type === 'remember');
  deepEqual(
    note?.entries.map(({ ageMs }) => ageMs),
    [12_000, 12_000, 12_000],
  );
});

test('[Y13] who is on its way out is not noted', () => {
  const subject = among('b', 'c', 'd');
  subject.deliver({ type: 'judged', id: listed('c').id, live: false, left: true });
  subject.now = instant(subject.now + 20_000);
  deepEqual(noted(subject.look(listed('c'), listed('d'))), ['d']);
  equal(self.id, 'self');
});
