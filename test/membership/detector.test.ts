import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { deadline } from '../../src/membership/detector.ts';
import type { Effect } from '../../src/membership/events.ts';
import { byPeerId, explain, members } from '../../src/membership/explanation.ts';
import { observersOf } from '../../src/membership/rings.ts';
import { isLiving } from '../../src/membership/member.ts';
import { memberId } from '../../src/std/member-id.ts';
import { instant } from '../../src/std/time.ts';
import { binding, idOf, only, peerOf, stranger, View } from './view.ts';

test('[M1] whoever is bound is dialled and observed; whoever is unbound is forgotten and hung up', () => {
  const view = new View(3);
  const dialled = only(view.pass(500), 'dial').map(({ id }) => id);
  deepEqual(dialled, [idOf(1), idOf(2), idOf(3)]);
  view.give({ type: 'connected', peerId: peerOf(1) });
  const effects = view.give({ type: 'unbound', id: idOf(1) });
  deepEqual(only(effects, 'hang-up'), [{ type: 'hang-up', peerId: peerOf(1) }]);
  equal(view.health(1), undefined);
  equal(byPeerId(view.state, peerOf(1)), undefined);
});

test('[M1] a connection of somebody who is not bound is hung up, and nothing it does counts', () => {
  const view = View.connected(3);
  deepEqual(view.give({ type: 'connected', peerId: 'peer-x' }), [{ type: 'hang-up', peerId: 'peer-x' }]);
  for (const event of [
    { type: 'beat', peerId: 'peer-x', stamp: 1 },
    { type: 'watch', peerId: 'peer-x', on: true },
    { type: 'recorded', id: memberId('i-x'), incarnation: 9, left: false },
    { type: 'suspected', id: memberId('i-x') },
    { type: 'rumoured', by: memberId('i-x'), id: idOf(1), incarnation: 1, says: 'dead' },
    { type: 'accused', by: memberId('i-x'), incarnation: 5 },
  ] as const) {
    deepEqual(view.give(event), []);
  }
  equal([...members(view.state)].length, 3);
});

test('[M1] the same instance with another key is another life', () => {
  const view = View.connected(3);
  view.votes(1, 'slow', [2]);
  const effects = view.give({ type: 'bound', binding: binding(1, { peerId: 'peer-new' }) });
  deepEqual(only(effects, 'hang-up'), [{ type: 'hang-up', peerId: peerOf(1) }]);
  equal(view.health(1), 'unknown');
  equal(view.member(1).incarnation, 0);
  equal(byPeerId(view.state, peerOf(1)), undefined);
  deepEqual(view.give({ type: 'disconnected', peerId: peerOf(1) }), []);
  equal(view.state.links.size, 2);
});

test('[M3] a subject is asked to beat once connected, and its silence of 640 ms is a probe', () => {
  const view = new View(1);
  view.pass(100);
  const asked = only(view.give({ type: 'connected', peerId: peerOf(1) }), 'watch');
  deepEqual(asked, [{ type: 'watch', peerId: peerOf(1), on: true }]);
  view.pass(1_000);
  const begin = view.now;
  const [probe] = only(view.pass(900, [1]), 'probe');
  equal(probe?.ms, 150);
  equal(probe?.id, idOf(1));
  const lastBeat = Math.floor((begin - 1) / 250) * 250;
  equal(view.member(1).watch?.askedAt, lastBeat + 640);
});

test('[M3] a new observer that cannot connect asks the kernel within a second', () => {
  const view = new View(20);
  const [probe] = only(view.pass(1_000), 'probe');
  ok(probe !== undefined);
});

test('[M3] an answer to an older probe, or to none, changes nothing', () => {
  const view = View.connected(4);
  const [probe] = only(view.give({ type: 'disconnected', peerId: peerOf(1) }), 'probe');
  ok(probe !== undefined);
  const answer = {
    type: 'probed',
    id: idOf(1),
    round: probe.round,
    outcomes: ['refused', 'refused'],
  } as const;
  deepEqual(view.give({ ...answer, round: probe.round - 1 }), []);
  deepEqual(view.give({ ...answer, id: idOf(2) }), []);
  equal(only([...view.give(answer), ...view.pass(200)], 'vote').length, 1);
  deepEqual(view.give(answer), []);
});

test('[M5] only the two designated observers tell that a member is slow', () => {
  const view = View.connected(20);
  let told = 0;
  for (const { id } of view.state.subjects) {
    const number = Number(id.slice(2));
    const isDesignated = observersOf(view.state.rings, view.member(number), isLiving)
      .slice(0, 2)
      .includes(view.state.self);
    const [probe] = only(view.pass(900, [number]), 'probe').filter((effect) => effect.id === id);
    ok(probe !== undefined);
    const effects = view.give({ type: 'probed', id, round: probe.round, outcomes: ['answered', 'silent'] });
    equal(view.health(number), 'suspect');
    equal(only([...effects, ...view.pass(100, [number])], 'vote').length, isDesignated ? 1 : 0);
    told += isDesignated ? 1 : 0;
    view.pass(500);
    equal(view.health(number), 'alive');
  }
  ok(told > 0);
});

test('[M6] votes count from observers only, on the incarnation that is known, each once', () => {
  const view = View.connected(20);
  const { number, observers } = stranger(view);
  view.pass(1_000, [number]);
  const outsiders = [...members(view.state)]
    .map(({ id }) => Number(id.slice(2)))
    .filter((other) => other !== number && !observers.includes(other));
  view.votes(number, 'refused', outsiders);
  view.votes(number, 'refused', [number]);
  view.votes(number, 'refused', observers, { incarnation: 0 });
  view.votes(number, 'refused', observers, { incarnation: 2 });
  equal(view.health(number), 'alive');
  const replayed = { sequence: view.now + 500 };
  view.votes(number, 'refused', [observers[0] as number], replayed);
  equal(view.health(number), 'suspect');
  view.pass(2_100, [number]);
  equal(view.health(number), 'alive');
  view.votes(number, 'refused', [observers[0] as number], replayed);
  equal(view.health(number), 'alive');
});

test('[M6] the dead, those who left, operators and unknown ones have no vote', () => {
  const view = View.connected(20);
  const { number, observers } = stranger(view);
  const [dead, left, operator] = observers as [number, number, number];
  view.give({ type: 'recorded', id: idOf(left), incarnation: 1, left: true });
  view.give({ type: 'bound', binding: binding(operator, { voter: false }) });
  view.give({ type: 'disconnected', peerId: peerOf(dead) });
  view.votes(dead, 'refused', view.observers(dead));
  equal(view.health(dead), 'dead');
  view.pass(1_000, [number]);
  view.votes(number, 'refused', [dead, left, operator, 77]);
  equal(view.health(number), 'alive');
});

test('[M6] who was suspect a moment ago is not believed that nobody answers', () => {
  const view = View.connected(20);
  const { number, observers } = stranger(view);
  const voters = observers.slice(0, 5);
  for (const voter of voters) view.give({ type: 'suspected', id: idOf(voter) });
  for (const voter of voters) view.give({ type: 'heard', peerId: peerOf(voter) });
  view.now += 100;
  view.pass(700, [number]);
  view.votes(number, 'timeout', voters);
  equal(view.health(number), 'alive');
  view.pass(1_000, [number]);
  view.votes(number, 'timeout', voters);
  equal(view.health(number), 'dead');
});

test('[M7] votes that the network held back for longer than they stand are not counted', () => {
  const view = View.connected(20);
  const { number, observers } = stranger(view);
  view.pass(1_000, [number]);
  const heldBack = { sequence: view.now - 2_100 };
  for (const voter of observers) view.votes(number, 'timeout', [voter], heldBack);
  equal(view.health(number), 'alive');
  for (const voter of observers.slice(0, 5))
    view.votes(number, 'timeout', [voter], { sequence: view.now - 900 });
  equal(view.health(number), 'dead');
});

test('[M7] with a new connection the way of a voter is measured anew', () => {
  const view = View.connected(20);
  const { number, observers } = stranger(view);
  const [voter] = observers as [number];
  view.pass(1_000, [number]);
  view.votes(number, 'timeout', [voter], { sequence: view.now - 3_000 });
  equal(view.health(number), 'alive');
  view.give({ type: 'disconnected', peerId: peerOf(voter) });
  view.give({ type: 'connected', peerId: peerOf(voter) });
  view.give({ type: 'beat', peerId: peerOf(voter), stamp: view.now - 3_000 });
  view.pass(1_100, [number, voter]);
  view.votes(number, 'timeout', [voter], { sequence: view.now - 3_000 });
  equal(view.health(number), 'suspect');
});

test('[M8] while a member speaks to us nobody else has a say', () => {
  const view = View.connected(20);
  const { number, observers } = stranger(view);
  view.give({ type: 'heard', peerId: peerOf(number) });
  view.votes(number, 'refused', observers);
  equal(view.health(number), 'alive');
  view.give({ type: 'disconnected', peerId: peerOf(number) });
  equal(view.health(number), 'dead');
});

test('[M8] a connection revokes a death, and so does a record of a higher incarnation', () => {
  for (const proof of [
    { type: 'connected', peerId: peerOf(1) },
    { type: 'recorded', id: idOf(1), incarnation: 2, left: false },
  ] as const) {
    const view = View.connected(4);
    view.give({ type: 'disconnected', peerId: peerOf(1) });
    view.votes(1, 'refused', [2, 3]);
    equal(view.health(1), 'dead');
    view.give({ type: 'recorded', id: idOf(1), incarnation: 1, left: false });
    equal(view.health(1), 'dead');
    view.give(proof);
    equal(view.health(1), 'alive');
  }
});

test('[M8] left is final for its incarnation: no word, no vote and no older record changes it', () => {
  const view = View.connected(4);
  view.give({ type: 'recorded', id: idOf(1), incarnation: 1, left: true });
  equal(view.health(1), 'left');
  view.give({ type: 'heard', peerId: peerOf(1) });
  view.give({ type: 'disconnected', peerId: peerOf(1) });
  view.votes(1, 'refused', [2, 3, 4]);
  deepEqual(only(view.pass(5_000), 'dial'), []);
  view.give({ type: 'recorded', id: idOf(1), incarnation: 1, left: false });
  equal(view.health(1), 'left');
  view.give({ type: 'recorded', id: idOf(1), incarnation: 2, left: false });
  equal(view.health(1), 'alive');
});

test('[M10] after a stall of our own nobody is suspect for what we did not hear', () => {
  const view = View.connected(8);
  view.now += 5_000;
  const effects = view.give({ type: 'tick' });
  deepEqual(only(effects, 'probe'), []);
  ok(only(effects, 'fact').some(({ fact }) => fact.fact === 'membership.stalled' && fact.ms > 4_000));
  ok(only(view.pass(500, [1, 2, 3]), 'probe').length === 0);
});

test('[M10] votes that lay in our buffers while we stood still are not counted', () => {
  const view = View.connected(20);
  const { number, observers } = stranger(view);
  view.now += 5_000;
  view.give({ type: 'tick' });
  view.votes(number, 'refused', observers);
  equal(view.health(number), 'alive');
});

test('[M11] a rumour alone kills nobody: it is a probe, and only two denials and two holders are a death', () => {
  const view = View.connected(60);
  const { number } = stranger(view);
  view.give({ type: 'disconnected', peerId: peerOf(number) });
  const holders = [...members(view.state)].map(({ id }) => id).filter((id) => id !== idOf(number));
  for (const by of holders)
    view.give({ type: 'rumoured', by, id: idOf(number), incarnation: 1, says: 'dead' });
  equal(view.health(number), 'alive');
  const healths: (string | undefined)[] = [];
  for (let ms = 0; ms < 2_000; ms += 50) {
    for (const { id, round } of only(view.pass(50), 'probe')) {
      view.give({ type: 'probed', id, round, outcomes: ['silent', 'silent'] });
      healths.push(view.health(number));
    }
  }
  deepEqual(healths, ['suspect', 'dead']);
});

test('[M11] what the kernel said a while ago it is asked again before a rumour is believed', () => {
  const view = View.connected(60);
  const { number } = stranger(view);
  const [one, other] = [...members(view.state)].map(({ id }) => id).filter((id) => id !== idOf(number));
  view.give({ type: 'disconnected', peerId: peerOf(number) });
  view.give({ type: 'rumoured', by: one!, id: idOf(number), incarnation: 1, says: 'dead' });
  for (let ms = 0; ms < 2_500; ms += 50) {
    for (const { id, round } of only(view.pass(50), 'probe'))
      view.give({ type: 'probed', id, round, outcomes: ['silent', 'silent'] });
  }
  const { hardProbes, foundAt } = view.member(number).watch!;
  ok(hardProbes >= 2);
  view.now = foundAt + 2_500;
  const effects = view.give({ type: 'rumoured', by: other!, id: idOf(number), incarnation: 1, says: 'dead' });
  equal(view.health(number), 'suspect');
  const [probe] = only(effects, 'probe');
  ok(probe !== undefined);
  view.give({ type: 'probed', id: probe.id, round: probe.round, outcomes: ['answered', 'answered'] });
  equal(view.health(number), 'alive');
});

test('[M11] where the kernel answers a rumour of two, a dial shows whether it is still the same machine', () => {
  for (const why of ['replaced', 'denied', 'silent'] as const) {
    const view = View.connected(60);
    const { number } = stranger(view);
    const [one, other] = [...members(view.state)].map(({ id }) => id).filter((id) => id !== idOf(number));
    view.give({ type: 'disconnected', peerId: peerOf(number) });
    for (const by of [one!, other!])
      view.give({ type: 'rumoured', by, id: idOf(number), incarnation: 1, says: 'dead' });
    const from = view.effects.length;
    for (let ms = 0; ms < 1_500; ms += 50) {
      for (const { id, round } of only(view.pass(50), 'probe'))
        view.give({ type: 'probed', id, round, outcomes: ['answered', 'answered'] });
    }
    const dialled = only(view.effects.slice(from), 'dial').map(({ id }) => id);
    deepEqual(dialled, [idOf(number)]);
    view.give({ type: 'dial-failed', id: idOf(number), peerId: peerOf(number), why });
    equal(view.health(number), why === 'replaced' ? 'dead' : 'alive');
  }
});

test('[M11] a rumour that the kernel denies is not asked about again for ten seconds', () => {
  const view = View.connected(60);
  const { number } = stranger(view);
  view.give({ type: 'disconnected', peerId: peerOf(number) });
  let probes = 0;
  for (let ms = 0; ms < 9_000; ms += 100) {
    view.give({
      type: 'rumoured',
      by: idOf(number === 1 ? 2 : 1),
      id: idOf(number),
      incarnation: 1,
      says: 'dead',
    });
    for (const { id, round } of only(view.pass(100), 'probe')) {
      probes++;
      view.give({ type: 'probed', id, round, outcomes: ['answered', 'answered'] });
    }
  }
  ok(probes <= 2, `${probes}`);
  equal(view.health(number), 'alive');
});

test('[M9] two that hold us dead make our incarnation rise, at most every two seconds; one does not', () => {
  const view = View.connected(8);
  const accuse = (number: number) => view.give({ type: 'accused', by: idOf(number), incarnation: 5 });
  deepEqual(accuse(1), []);
  deepEqual(accuse(1), []);
  equal(only(accuse(2), 'refute').length, 1);
  view.pass(1_000);
  accuse(1);
  deepEqual(accuse(2), []);
  view.pass(1_500);
  equal(only(accuse(3), 'refute').length, 1);
  view.give({ type: 'recorded', id: idOf(0), incarnation: 7, left: false });
  view.pass(3_000);
  for (const number of [1, 2, 3]) deepEqual(accuse(number), []);
});

test('[M9] whoever holds another life of ours dead makes nothing rise: our word would not revoke that', () => {
  const view = View.connected(8);
  for (const incarnation of [4, 6, 3_600_000])
    for (const number of [1, 2, 3])
      deepEqual(view.give({ type: 'accused', by: idOf(number), incarnation }), []);
});

test('[M15] with nobody connected for three seconds EC2 is asked, and then every 30 s', () => {
  const view = new View(4);
  equal(only(view.pass(2_500), 'isolated').length, 0);
  equal(only(view.pass(2_500), 'isolated').length, 1);
  equal(only(view.pass(20_000), 'isolated').length, 0);
  equal(only(view.pass(15_000), 'isolated').length, 1);
  const alone = new View(0);
  equal(only(alone.pass(60_000), 'isolated').length, 0);
});

test('[M16] what is known of a member can be explained: who said what, and how long ago', () => {
  const view = View.connected(20);
  const { number, observers } = stranger(view);
  view.pass(1_000, [number]);
  view.votes(number, 'timeout', observers.slice(0, 2));
  view.now += 50;
  const told = explain(view.state, idOf(number), instant(view.now));
  equal(told?.health, 'suspect');
  equal(told?.why, 'votes');
  deepEqual(
    told?.votes,
    observers.slice(0, 2).map((by) => ({ by: idOf(by), evidence: 'timeout', ageMs: 50, leftMs: 1_950 })),
  );
  equal(told?.observers.length, 7);
  equal(explain(view.state, memberId('i-x'), instant(view.now)), null);
});

test('[M17] the same events give the same effects', () => {
  const story = (): readonly Effect[] => {
    const view = View.connected(60);
    view.give({ type: 'disconnected', peerId: peerOf(7) });
    view.pass(20_000, [3, 9]);
    return view.effects;
  };
  deepEqual(story(), story());
});

test('[M17] a beat of a quiet member has no effect, and moves no deadline', () => {
  const view = View.connected(40);
  const before = deadline(view.state);
  for (let number = 1; number <= 40; number++) {
    deepEqual(view.give({ type: 'beat', peerId: peerOf(number), stamp: view.now }), []);
  }
  equal(deadline(view.state), before);
});
