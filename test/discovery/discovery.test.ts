import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import * as discovery from '../../src/discovery/discovery.ts';
import type { Effect, Listed } from '../../src/discovery/events.ts';
import { memberId } from '../../src/std/member-id.ts';
import { instant } from '../../src/std/time.ts';
import { among, entry, epochMs, listed, self, Subject } from './subject.ts';

const types = (effects: readonly Effect[]): string[] => effects.map(({ type }) => type);

test('[Y1] who is listed with a key and an address is bound, who has left or has no key yet is not', () => {
  const subject = new Subject();
  const effects = subject.look(
    listed('b'),
    listed('young', { peerId: null }),
    listed('nowhere', { address: null }),
    listed('gone', { left: true }),
    listed('person', { role: 'operator', address: null }),
  );
  deepEqual(subject.bound(), ['b', 'person']);
  deepEqual(
    effects.flatMap((effect) => (effect.type === 'bound' ? [[effect.binding.id, effect.binding.voter]] : [])),
    [
      ['b', true],
      ['person', false],
    ],
  );
  ok(discovery.isAdmitted(subject.state, 'peer-b'));
  ok(!discovery.isAdmitted(subject.state, 'peer-gone'));
});

test('[Y1] a key whose instance is unbound, or has another one, is barred; who is not alive for a while keeps its own', () => {
  const subject = among('b', 'c', 'd');
  const barred = (effects: readonly Effect[]): string[] =>
    effects.flatMap((effect) => (effect.type === 'barred' ? [effect.peerId] : []));
  for (const live of [true, false])
    deepEqual(subject.deliver({ type: 'judged', id: memberId('b'), live, left: false }), []);
  deepEqual(barred(subject.look(listed('b'), listed('c', { peerId: 'peer-new' }), listed('d'))), ['peer-c']);
  deepEqual(barred(subject.look(listed('b'), listed('c', { peerId: 'peer-new' }))), []);
  deepEqual(barred(subject.look(listed('b', { left: true }), listed('c', { peerId: 'peer-new' }))), [
    'peer-b',
  ]);
});

test('[Y2] one voucher changes nothing; two distinct ones that agree bind; neither of them twice, nor about itself', () => {
  const subject = among('b', 'c', 'd');
  deepEqual(subject.vouch('b', entry('x')), []);
  deepEqual(subject.vouch('b', entry('x')), []);
  deepEqual(subject.vouch('x', entry('x')), []);
  deepEqual(subject.vouch('c', entry('x', { peerId: 'peer-other' })), []);
  deepEqual(types(subject.vouch('d', entry('x'))), ['bound']);
  ok(discovery.isAdmitted(subject.state, 'peer-x'));
});

test('[Y2] strangers and operators cannot vouch, and a hint is forgotten after two epochs', () => {
  const subject = new Subject();
  subject.look(listed('b'), listed('c'), listed('person', { role: 'operator' }));
  subject.vouch('nobody', entry('x'));
  subject.vouch('person', entry('x'));
  deepEqual(subject.vouch('b', entry('x')), []);
  subject.now = instant(subject.now + 2 * epochMs + 1);
  deepEqual(subject.vouch('c', entry('x')), []);
});

test('[Y2] a member that vouches for thousands that do not exist takes the room of nobody else', () => {
  const subject = among('liar', 'b', 'c');
  for (let i = 0; i < 100; i++)
    subject.vouch('liar', ...Array.from({ length: 64 }, (_, j) => entry(`lie-${i}-${j}`)));
  ok(subject.state.claims.size <= 1_000);
  subject.vouch('b', entry('x'));
  deepEqual(types(subject.vouch('c', entry('x'))), ['bound']);
  deepEqual(subject.bound(), ['liar', 'b', 'c', 'x']);
});

test('[Y3] who looked in turn tells what is new, or that nothing is; the first answer is news to nobody', () => {
  const subject = new Subject();
  ok(!types(subject.look(listed('b'))).includes('vouch'));
  const effects = subject.look(listed('b'), listed('c'));
  const told = effects.flatMap((effect) => (effect.type === 'vouch' ? [effect.entries] : []));
  ok(told[0]!.some(({ id }) => id === 'c'));
  for (let i = 0; i < 4; i++) subject.look(listed('b'), listed('c'));
  deepEqual(
    subject.look(listed('b'), listed('c')).filter(({ type }) => type === 'vouch'),
    [{ type: 'vouch', entries: [], to: null }],
  );
});

test('[Y4] a failed answer changes nothing, and one without ourselves takes nobody away', () => {
  const subject = among('b', 'c');
  subject.untilLook();
  deepEqual(types(subject.deliver({ type: 'look-failed', kind: 'busy', why: 'busy' })), ['fact']);
  for (let i = 0; i < 9; i++) {
    subject.untilLook();
    subject.deliver({ type: 'looked', listed: [] });
  }
  deepEqual(subject.bound(), ['b', 'c']);
});

test('[Y5] who is missing in three epochs is unbound, unless membership calls it alive', () => {
  const subject = among('b', 'c', 'd');
  subject.deliver({ type: 'judged', id: memberId('b'), live: true, left: false });
  for (let i = 0; i < 2; i++) subject.look(listed('d'));
  deepEqual(subject.bound(), ['b', 'c', 'd']);
  ok(types(subject.look(listed('d'))).includes('unbound'));
  deepEqual(subject.bound(), ['b', 'd']);
  subject.deliver({ type: 'judged', id: memberId('b'), live: false, left: false });
  for (let i = 0; i < 2; i++) subject.look(listed('d'));
  subject.look(listed('b'), listed('d'));
  for (let i = 0; i < 2; i++) subject.look(listed('d'));
  deepEqual(subject.bound(), ['b', 'd']);
});

test('[Y5] two that say in three epochs that a member is gone are believed, one is not', () => {
  const subject = among('b', 'c', 'x');
  const gone = entry('x', { left: true });
  for (let i = 0; i < 5; i++) {
    subject.now = instant(subject.now + epochMs);
    subject.vouch('b', gone);
  }
  deepEqual(subject.bound(), ['b', 'c', 'x']);
  for (let i = 0; i < 3; i++) {
    subject.now = instant(subject.now + epochMs);
    subject.vouch('b', gone);
    subject.vouch('c', gone);
  }
  deepEqual(subject.bound(), ['b', 'c']);
});

test('[Y5] that somebody is gone does not count against a look of our own that came after one of the two', () => {
  const subject = among('b', 'c', 'x');
  const gone = entry('x', { left: true });
  for (let i = 0; i < 5; i++) {
    subject.vouch('b', gone);
    subject.look(listed('b'), listed('c'), listed('x'));
    subject.now = instant(subject.now + 1);
    subject.vouch('c', gone);
  }
  deepEqual(subject.bound(), ['b', 'c', 'x']);
  equal(subject.state.bindings.members.get(memberId('x'))?.absences, 0);
});

test('[Y5] a goodbye in the tags unbinds at once, but not who is alive: tags are read late', () => {
  const subject = among('b', 'c');
  subject.deliver({ type: 'judged', id: memberId('b'), live: true, left: false });
  subject.look(listed('b', { left: true }), listed('c', { left: true }));
  deepEqual(subject.bound(), ['b']);
});

test('[Y6] failures put looks off further and further, throttling at once, to two minutes at most', () => {
  for (const kind of ['busy', 'unreachable']) {
    const subject = new Subject();
    const waits = Array.from({ length: 40 }, () => {
      const before = subject.now;
      subject.untilLook();
      subject.deliver({ type: 'look-failed', kind, why: kind });
      return subject.now - before;
    });
    ok(Math.max(...waits) > 60_000 && Math.max(...waits) <= 120_000, `${kind}: ${Math.max(...waits)}`);
  }
});

/** How long it waits at most, of many times, for the look after these that failed. */
function waitMost(...kinds: readonly string[]): number {
  const subject = new Subject();
  const waits = Array.from({ length: 60 }, () => {
    for (const kind of kinds) {
      subject.deliver({ type: 'isolated' });
      subject.untilLook();
      subject.deliver({ type: 'look-failed', kind, why: kind });
    }
    const { plan } = subject.state;
    const waitMs = plan.notBeforeAt - subject.now;
    subject.look();
    return waitMs;
  });
  return Math.max(...waits);
}

test('[Y6] of throttled looks, those that failed otherwise do not count: the first waits for 24 s at most, the second for 48 s', () => {
  const away = Array<string>(5).fill('unreachable');
  for (const [kinds, most] of [
    [['busy'], 24_000],
    [[...away, 'busy'], 24_000],
    [['busy', ...away, 'busy'], 48_000],
  ] as const) {
    const waitMs = waitMost(...kinds);
    ok(waitMs > most * 0.8 && waitMs <= most, `${kinds.join()}: ${waitMs} ms`);
  }
});

test('[Y6] two that tell of answers end the wait of who found the API away, and not of who was throttled', () => {
  for (const kind of ['busy', 'unreachable']) {
    const subject = among('b', 'c');
    subject.deliver({ type: 'isolated' });
    for (let failures = 0; failures < 12; failures++) {
      subject.untilLook();
      subject.deliver({ type: 'look-failed', kind, why: kind });
    }
    const before = subject.state.plan.notBeforeAt - subject.now;
    for (const by of ['b', 'c']) subject.deliver({ type: 'vouched', by: memberId(by), entries: [] });
    const after = subject.state.plan.notBeforeAt - subject.now;
    ok(kind === 'busy' ? after === before : after <= 2_000, `${kind}: ${before} ${after}`);
  }
});

test('[Y6] who knocks ends the wait of who found the API away, ten seconds after its last look, and later where members are many', () => {
  for (const [kind, others, waitMs] of [
    ['unreachable', 0, 10_000],
    ['unreachable', 9, 20_000],
    ['busy', 0, 48_000],
  ] as const) {
    const ids = Array.from({ length: others }, (_, i) => `i-${i}`);
    const subject = among(...ids);
    for (let failures = 0; failures < 12; failures++) {
      subject.untilLook();
      subject.deliver({ type: 'look-failed', kind, why: kind });
      subject.deliver({ type: 'isolated' });
    }
    const { plan } = subject.state;
    plan.notBeforeAt = instant(plan.begunAt + 48_000);
    subject.deliver({ type: 'stranger', peerId: 'peer-x', isHere: false });
    equal(plan.notBeforeAt - plan.begunAt, 48_000);
    subject.deliver({ type: 'stranger', peerId: 'peer-x', isHere: true });
    equal(plan.notBeforeAt - plan.begunAt, waitMs);
  }
});

test('[Y7] a stranger causes a look and hears what became of it; who came during a look waits for the next', () => {
  const subject = among('b');
  subject.now = instant(subject.now + 5_000);
  deepEqual(subject.deliver({ type: 'stranger', peerId: 'peer-b', isHere: true }), [
    { type: 'settled', peerId: 'peer-b', admitted: true },
  ]);
  subject.deliver({ type: 'stranger', peerId: 'peer-x', isHere: true });
  const asked = subject.now;
  subject.untilLook();
  ok(subject.now - asked <= 1_600);
  subject.now = instant(subject.now + 1);
  subject.deliver({ type: 'stranger', peerId: 'peer-late', isHere: true });
  const effects = subject.deliver({ type: 'looked', listed: [self, listed('b')] });
  deepEqual(
    effects.filter(({ type }) => type === 'settled'),
    [{ type: 'settled', peerId: 'peer-x', admitted: false }],
  );
  const next = subject.look(listed('b'), listed('late'));
  ok(next.some((effect) => effect.type === 'settled' && effect.peerId === 'peer-late' && effect.admitted));
});

test('[Y7] vouchers that come first spare the look', () => {
  const subject = among('b', 'c');
  subject.now = instant(subject.now + 5_000);
  subject.deliver({ type: 'stranger', peerId: 'peer-x', isHere: true });
  ok(discovery.deadline(subject.state) < subject.now + 1_600);
  subject.vouch('b', entry('x'));
  deepEqual(types(subject.vouch('c', entry('x'))), ['bound', 'settled', 'remember']);
  ok(discovery.deadline(subject.state) > subject.now + 1_600);
});

test('[Y7] ever new strangers in vain cause ever fewer looks, and no more than 64 wait', () => {
  const subject = among('b');
  let looks = 0;
  let refused = 0;
  for (let ms = 0; ms < 600_000; ms += 100) {
    subject.now = instant(subject.now + 100);
    const effects = [
      ...subject.deliver({ type: 'stranger', peerId: `knock-${ms}`, isHere: true }),
      ...subject.deliver({ type: 'tick' }),
    ];
    refused += effects.filter(({ type }) => type === 'settled').length;
    if (!effects.some(({ type }) => type === 'look')) continue;
    looks++;
    refused += types(subject.deliver({ type: 'looked', listed: [self, listed('b')] })).filter(
      (type) => type === 'settled',
    ).length;
    ok(subject.state.strangers.size <= 64);
  }
  ok(looks < 70, `${looks} looks in ten minutes`);
  ok(refused > 5_900);
});

test('[Y7] who was only heard of has a quarter of the places, and makes room for who stands at the door', () => {
  const subject = among('b');
  subject.now = instant(subject.now + 1_000);
  const hear = (id: string, isHere: boolean): readonly Effect[] =>
    subject.deliver({ type: 'stranger', peerId: `peer-${id}`, isHere });
  subject.untilLook();
  for (let i = 0; i < 100; i++) hear(`lie-${i}`, false);
  equal(subject.state.strangers.size, 16);
  for (let i = 0; i < 48; i++) deepEqual(hear(`real-${i}`, true), []);
  equal(subject.state.strangers.size, 64);
  deepEqual(hear('rumour', false), [{ type: 'settled', peerId: 'peer-rumour', admitted: false }]);
  deepEqual(hear('lie-15', true), []);
  for (let i = 48; i < 63; i++)
    deepEqual(hear(`real-${i}`, true), [{ type: 'settled', peerId: `peer-lie-${i - 48}`, admitted: false }]);
  deepEqual(hear('late', true), [{ type: 'settled', peerId: 'peer-late', admitted: false }]);
  ok([...subject.state.strangers.values()].every(({ isHere }) => isHere));
});

test('[Y7] made-up strangers that are looked for in vain make nobody wait who stands at the door', () => {
  const subject = among('b');
  for (let lies = 0; lies < 6; lies++) {
    subject.now = instant(subject.now + 1);
    subject.deliver({ type: 'stranger', peerId: `lie-${lies}`, isHere: false });
    subject.look(listed('b'));
  }
  equal(subject.state.plan.strangers.heardOf.misses, 4);
  subject.now = instant(subject.now + 2_000);
  subject.deliver({ type: 'stranger', peerId: 'lie', isHere: false });
  ok(discovery.deadline(subject.state) > subject.now + 1_600);
  subject.deliver({ type: 'stranger', peerId: 'peer-x', isHere: true });
  ok(discovery.deadline(subject.state) <= subject.now + 1_600);
});

test('[Y7] for a stranger that was turned away before its look came nobody looks any more', () => {
  const subject = among(...Array.from({ length: 900 }, (_, i) => `m-${i}`));
  const { plan } = subject.state;
  for (const isHere of [true, false])
    subject.deliver({ type: 'stranger', peerId: `peer-x-${isHere}`, isHere });
  const lookAt = [plan.strangers.here.at, plan.strangers.heardOf.at];
  ok(
    lookAt.every((at) => at > subject.now + 10_000 && at !== Infinity),
    lookAt.join(),
  );
  subject.now = instant(subject.now + 10_000);
  const effects = subject.deliver({ type: 'tick' });
  equal(effects.filter((effect) => effect.type === 'settled' && !effect.admitted).length, 2);
  deepEqual([plan.strangers.here.at, plan.strangers.heardOf.at], [Infinity, Infinity]);
});

test('[Y8] who is isolated looks soon', () => {
  const subject = among('b', 'c', 'd', 'e', 'f');
  subject.now = instant(subject.now + 20_000);
  subject.deliver({ type: 'isolated' });
  ok(discovery.deadline(subject.state) <= subject.now + 1_000);
});

test('[Y9] the key of another stays with that other, until it is gone', () => {
  const subject = among('b', 'c');
  const effects = subject.look(listed('b'), listed('c'), listed('thief', { peerId: 'peer-b' }));
  ok(effects.some((effect) => effect.type === 'fact' && effect.fact.fact === 'discovery.failed'));
  deepEqual(subject.bound(), ['b', 'c']);
  subject.look(listed('c'), listed('heir', { peerId: 'peer-b' }));
  deepEqual(subject.bound(), ['c', 'heir']);
});

test('[Y12] with a list of its own a node heeds nobody, tells nobody, and looks in each epoch', () => {
  const subject = new Subject('own');
  const others = ['b', 'c', 'd', 'e', 'f'].map((id) => listed(id));
  subject.look(...others);
  for (const { id } of others) subject.deliver({ type: 'judged', id, live: true, left: false });
  subject.vouch('b', entry('x'));
  deepEqual(subject.vouch('c', entry('x')), []);
  for (let i = 0; i < 5; i++) {
    const before = subject.now;
    ok(!types(subject.look(...others, listed('new'))).includes('vouch'));
    ok(subject.now - before <= 1.5 * epochMs);
  }
  deepEqual(subject.bound(), ['b', 'c', 'd', 'e', 'f', 'new']);
});

test('[Y11] more than a thousand are reported, not kept', () => {
  const subject = new Subject();
  const effects = subject.look(...Array.from({ length: 1_010 }, (_, i) => listed(`i-${i}`)));
  equal(subject.bound().length, 1_000);
  deepEqual(
    effects.filter(({ type }) => type === 'fact'),
    [{ type: 'fact', fact: { fact: 'discovery.overfull', dropped: 10 } }],
  );
});

test('[Y11] where there is no place left, who is missing and not alive makes room, the longest missing first', () => {
  const named = (from: number, to: number): Listed[] =>
    Array.from({ length: to - from }, (_, i) => listed(`i-${from + i}`));
  const subject = new Subject();
  subject.look(...named(0, 1_000));
  subject.judged(true, 'i-0');
  subject.look(...named(200, 1_000));
  subject.look(...named(400, 1_000));
  equal(subject.bound().length, 1_000, 'so many do not end at once');
  const effects = subject.look(...named(400, 1_250));
  deepEqual(effects.filter(({ type }) => type === 'fact').length, 1, 'that so many are missing');
  equal(subject.bound().length, 1_000);
  const left = new Set(subject.bound());
  ok(left.has('i-0') && left.has('i-1249'));
  deepEqual(
    named(0, 400)
      .filter(({ id }) => left.has(id))
      .map(({ id }) => id),
    ['i-0', ...named(251, 400).map(({ id }) => id)],
  );
});
