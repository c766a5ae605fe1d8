import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import type { MemberId } from '../../src/std/member-id.ts';
import type { Effect, Outcome } from '../../src/membership/events.ts';
import { members } from '../../src/membership/explanation.ts';
import { binding, idOf, only, peerOf, stranger, View } from './view.ts';

/** Lets time pass in which every kernel that is asked gives that answer. */
function pass(view: View, ms: number, outcome: Outcome, mute: readonly number[] = []): void {
  for (const end = view.now + ms; view.now < end;) reply(view, view.pass(50, mute), outcome);
}

function reply(view: View, effects: readonly Effect[], outcome: Outcome): void {
  for (const { id, round } of only(effects, 'probe'))
    view.give({ type: 'probed', id, round, outcomes: [outcome, outcome] });
}

/** Two hold a silent member dead, `then` comes, and later its connection closes and its machine is dark for us. */
function darkAfter(then: (view: View, number: number) => void): string | undefined {
  const view = View.connected(60);
  const { number } = stranger(view);
  const [one, other] = [...members(view.state)].map(({ id }) => id).filter((id) => id !== idOf(number));
  view.pass(700, [number]);
  for (const by of [one!, other!])
    view.give({ type: 'rumoured', by, id: idOf(number), incarnation: 1, says: 'dead' });
  then(view, number);
  view.give({ type: 'disconnected', peerId: peerOf(number) });
  view.give({ type: 'suspected', id: idOf(number) });
  pass(view, 2_000, 'silent');
  return view.health(number);
}

test('[M11] a rumour ends with what refutes it: of a silence after that others must tell anew', () => {
  const record =
    (incarnation: number, left = false) =>
    (view: View, number: number) =>
      void view.give({ type: 'recorded', id: idOf(number), incarnation, left });
  const healths = {
    nothing: darkAfter(() => {}),
    'its newest record once more': darkAfter(record(1)),
    'a record of a higher incarnation': darkAfter(record(2)),
    'a word': darkAfter((view, number) =>
      view.give({ type: 'beat', peerId: peerOf(number), stamp: view.now }),
    ),
    'a goodbye, and another life': darkAfter((view, number) => {
      record(1, true)(view, number);
      record(2)(view, number);
    }),
  };
  deepEqual(healths, {
    nothing: 'dead',
    'its newest record once more': 'dead',
    'a record of a higher incarnation': 'suspect',
    'a word': 'suspect',
    'a goodbye, and another life': 'suspect',
  });
});

test('[M11] who was slow for a while, and is held dead by two, is asked again at once', () => {
  const view = View.connected(60);
  const [subject] = view.state.subjects;
  const number = Number(subject!.id.slice(2));
  const [one, other] = [...members(view.state)].map(({ id }) => id).filter((id) => id !== subject!.id);
  const say = (by: MemberId, outcome: Outcome): void => {
    reply(view, view.give({ type: 'rumoured', by, id: idOf(number), incarnation: 1, says: 'dead' }), outcome);
  };
  view.give({ type: 'disconnected', peerId: peerOf(number) });
  const probes = () => only(view.effects, 'probe').filter(({ id }) => id === subject!.id).length;
  pass(view, 70_000, 'answered', [number]);
  equal(view.health(number), 'suspect');
  ok(view.member(number).watch!.probeAt > view.now + 30_000, 'of itself it would ask much later');
  let before = probes();
  say(one!, 'silent');
  pass(view, 3_000, 'silent', [number]);
  equal(probes(), before, 'one may lie');
  for (let s = 0; s < 9; s++) {
    for (const by of [one!, other!]) say(by, 'answered');
    pass(view, 1_000, 'answered', [number]);
  }
  equal(probes(), before + 1, 'its kernel still answers: that stands for ten seconds');
  equal(view.health(number), 'suspect');
  before = probes();
  pass(view, 2_000, 'answered', [number]);
  for (let s = 0; s < 3; s++) {
    for (const by of [one!, other!]) say(by, 'silent');
    pass(view, 1_000, 'silent', [number]);
  }
  equal(probes(), before + 2);
  equal(view.health(number), 'dead');
});

test('[M12] where no watch is free, a failed request leaves nobody suspect whom nothing would clear', () => {
  const view = View.connected(90);
  const subjects = new Set(view.state.subjects.map(({ id }) => id));
  const others = [...members(view.state)].filter(({ id }) => !subjects.has(id));
  const [late, ...lost] = others;
  for (const { peerId } of lost) view.give({ type: 'disconnected', peerId });
  for (const { id } of lost) view.give({ type: 'suspected', id });
  equal(view.state.watches.size, 64);
  equal(lost.filter(({ health }) => health === 'suspect').length, 64 - subjects.size);
  view.give({ type: 'suspected', id: late!.id });
  equal(late!.health, 'suspect');
  view.give({ type: 'disconnected', peerId: late!.peerId });
  pass(view, 30_000, 'answered');
  deepEqual(
    others.filter(({ health }) => health !== 'alive').map(({ id }) => id),
    [],
  );
});

/** A dial of it, answered by somebody with another key. */
const replaced = (number: number) =>
  ({ type: 'dial-failed', id: idOf(number), peerId: peerOf(number), why: 'replaced' }) as const;

test('[M5] whose address somebody else has is suspect for whoever finds it so, whatever the kernel there answers, until its own word', () => {
  const view = View.connected(60);
  const { number } = stranger(view);
  view.give({ type: 'disconnected', peerId: peerOf(number) });
  equal(view.health(number), 'alive');
  view.give(replaced(number));
  equal(view.health(number), 'suspect');
  view.give({ type: 'suspected', id: idOf(number) });
  pass(view, 10_000, 'answered');
  equal(view.health(number), 'suspect');
  equal(only(view.effects, 'vote').filter(({ vote }) => vote.subject === idOf(number)).length, 0);
  view.give({ type: 'connected', peerId: peerOf(number) });
  equal(view.health(number), 'alive');
});

test('[M4] whose address somebody else has is refused by that for its observers, and one of them alone kills nobody', () => {
  const view = View.connected(60);
  const number = Number(view.state.subjects[0]!.id.slice(2));
  view.give({ type: 'disconnected', peerId: peerOf(number) });
  pass(view, 20_000, 'answered');
  const from = view.effects.length;
  const [probe] = only(view.give(replaced(number)), 'probe');
  view.give({ type: 'probed', id: idOf(number), round: probe!.round, outcomes: ['answered', 'answered'] });
  pass(view, 200, 'answered');
  const said = only(view.effects.slice(from), 'vote').filter(({ vote }) => vote.subject === idOf(number));
  deepEqual([...new Set(said.map(({ vote }) => vote.evidence))], ['refused']);
  equal(view.health(number), 'suspect');
  const [second] = view.observers(number).filter((one) => one !== 0);
  view.votes(number, 'refused', [second!]);
  equal(view.health(number), 'dead');
});

test('[M4] of whom there is no record somebody else at its address may be its next life, and refuses nothing', () => {
  for (const [record, evidences] of [
    [null, []],
    [2, ['refused']],
  ] as const) {
    const view = View.connected(60);
    const number = Number(view.state.subjects[0]!.id.slice(2));
    view.give({ type: 'bound', binding: { ...binding(number), peerId: 'peer-new' } });
    if (record !== null) view.give({ type: 'recorded', id: idOf(number), incarnation: record, left: false });
    view.give({ ...replaced(number), peerId: 'peer-new' });
    pass(view, 20_000, 'answered');
    const said = only(view.effects, 'vote').filter(({ vote }) => vote.subject === idOf(number));
    deepEqual([...new Set(said.map(({ vote }) => vote.evidence))], evidences);
  }
});

test('[M4] an only observer has a probe without an answer made once more, and tells its doubt alone meanwhile', () => {
  for (const [others, probes] of [
    [1, 2],
    [2, 1],
  ] as const) {
    const view = View.connected(others);
    const ask = (): number => only(view.pass(700, [1]), 'probe').at(-1)!.round;
    for (let asked = 1, round = ask(); asked <= probes; asked++) {
      deepEqual(only(view.effects, 'vote'), []);
      const told = view.give({ type: 'probed', id: idOf(1), round, outcomes: ['silent', 'silent'] });
      equal(view.health(1), others === 1 && asked === probes ? 'dead' : 'suspect');
      if (asked < probes) round = only(view.pass(5, [1]), 'probe')[0]!.round;
      else
        deepEqual(
          only(told, 'vote').map(({ vote }) => vote.evidence),
          ['timeout'],
        );
    }
  }
});

test('[M5] whose address somebody else has stays suspect for who observes it no more', () => {
  const view = View.connected(60);
  const number = Number(view.state.subjects[0]!.id.slice(2));
  view.give({ type: 'disconnected', peerId: peerOf(number) });
  view.give(replaced(number));
  for (let newcomer = 61; view.observers(number).includes(0); newcomer++)
    view.give({ type: 'bound', binding: binding(newcomer) });
  pass(view, 5_000, 'answered');
  equal(view.member(number).watch, null);
  equal(view.health(number), 'suspect');
});

test('[M1] a dial of its former key says nothing of a member', () => {
  const view = View.connected(60);
  const { number } = stranger(view);
  view.give({ type: 'bound', binding: { ...binding(number), peerId: 'peer-new' } });
  view.give({ type: 'recorded', id: idOf(number), incarnation: 2, left: false });
  equal(only(view.give(replaced(number)), 'unreached').length, 0);
  equal(view.health(number), 'alive');
  view.give({ ...replaced(number), peerId: 'peer-new' });
  equal(view.health(number), 'suspect');
});

test('[M13] who is disputed is dialled once, though we want no connection, and it is told when nobody is there', () => {
  for (const [why, isTold] of [
    ['replaced', true],
    ['refused', true],
    ['silent', true],
    ['denied', false],
  ] as const) {
    const view = View.connected(60);
    const number = [...members(view.state)]
      .map(({ id }) => Number(id.slice(2)))
      .find((one) => !view.member(one).wanted);
    view.give({ type: 'disconnected', peerId: peerOf(number!) });
    view.give({ type: 'disputed', id: idOf(number!) });
    equal(only(view.pass(100), 'dial').filter(({ id }) => id === idOf(number!)).length, 1);
    const effects = view.give({ ...replaced(number!), why });
    equal(only(effects, 'unreached').length, isTold ? 1 : 0);
    equal(only(view.pass(20_000), 'dial').filter(({ id }) => id === idOf(number!)).length, 0);
  }
});
