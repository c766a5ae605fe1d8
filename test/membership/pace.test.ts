/** How often and how much: beats, votes, dials and connections have a pace and a bound. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { deadline } from '../../src/membership/detector.ts';
import type { Outcome } from '../../src/membership/events.ts';
import { init } from '../../src/membership/state.ts';
import { instant } from '../../src/std/time.ts';
import { binding, idOf, only, peerOf, stranger, View } from './view.ts';

test('[M12] a subject that comes and goes every second costs a bounded number of votes', () => {
  const view = View.connected(20);
  const [subject] = view.state.subjects;
  ok(subject !== undefined);
  const number = Number(subject.id.slice(2));
  let votes = 0;
  for (let round = 0; round < 240; round++) {
    for (let ms = 0; ms < 900; ms += 50) {
      const effects = view.pass(50, [number]);
      votes += only(effects, 'vote').length;
      for (const { id, round } of only(effects, 'probe')) {
        votes += only(
          view.give({ type: 'probed', id, round, outcomes: ['silent', 'silent'] }),
          'vote',
        ).length;
      }
    }
    votes += only(view.give({ type: 'heard', peerId: subject.peerId }), 'vote').length;
    votes += only(view.pass(100), 'vote').length;
  }
  ok(votes <= 40, `${votes} votes in four minutes`);
});

test('[M12] dials are at most twenty a second, and where members are few one at a time of those who may be gone', () => {
  const view = new View(45);
  let dials = 0;
  for (let second = 0; second < 20; second++) {
    for (const { id, peerId } of only(view.pass(1_000), 'dial')) {
      dials++;
      view.give({ type: 'dial-failed', id, peerId, why: 'refused' });
    }
    if (second === 1) ok(dials > 20 && dials <= 60, `${dials}`);
  }
  // Each that is not answered for half a second leaves its place to the next.
  ok(dials > 60 && dials <= 45 + 2 * 20 + 20, `${dials}`);
});

test('[M13] beyond fifty members the neighbours in the rings and eight more are dialled, and nobody else', () => {
  const view = new View(500);
  const dialled = new Set(only(view.pass(2_500), 'dial').map(({ id }) => id));
  const needed = new Set([...view.state.subjects, ...view.state.observers].map(({ id }) => id));
  for (const id of needed) ok(dialled.has(id));
  ok(dialled.size <= needed.size + 8 && dialled.size > 12, `${dialled.size}`);
});

/** When a subject that says nothing for 40 s is hung up, by what its kernel answers; `tell` is called every 5 s. */
function hangUps(view: View, answer: Outcome, tell: (number: number, ms: number) => void): number[] {
  const [subject] = view.state.subjects;
  ok(subject !== undefined);
  const number = Number(subject.id.slice(2));
  const hungUp: number[] = [];
  for (let ms = 0; ms < 40_000; ms += 50) {
    if (ms % 5_000 === 0) tell(number, ms);
    const effects = view.pass(50, [number]);
    if (only(effects, 'hang-up').length > 0) hungUp.push(ms);
    for (const { id, round } of only(effects, 'probe'))
      view.give({ type: 'probed', id, round, outcomes: [answer, answer] });
  }
  equal(view.health(number), 'suspect');
  return hungUp;
}

/** Of the two who tell that a member is slow, those that we are not. */
const tellers = (view: View, number: number): number[] =>
  view
    .observers(number)
    .slice(0, 2)
    .filter((one) => one !== 0);

test('[M13] a connection that carried nothing for 30 s is hung up, unless its process is slow', () => {
  const [late, ...more] = hangUps(View.connected(20), 'silent', () => {});
  ok(late !== undefined && late >= 30_000 && more.length === 0, `${late} ${more}`);
  const view = View.connected(20);
  deepEqual(
    hangUps(view, 'answered', (number) => view.votes(number, 'slow', tellers(view, number))),
    [],
  );
});

test('[M13] who is slow for us alone is hung up after 20 s: its connection stands still', () => {
  const [late, ...more] = hangUps(View.connected(20), 'answered', () => {});
  ok(late !== undefined && late >= 19_000 && late <= 22_000 && more.length === 0, `${late} ${more}`);
  const view = View.connected(20);
  const one = (number: number) => view.votes(number, 'slow', tellers(view, number).slice(0, 1));
  deepEqual(hangUps(view, 'answered', one), [], 'one of them says so');
  deepEqual(
    hangUps(View.connected(1), 'answered', () => {}),
    [],
    'there is nobody to say so',
  );
  const stalled = View.connected(20);
  const stall = (_: number, ms: number) => void (stalled.now += ms === 15_000 ? 60_000 : 0);
  const [later] = hangUps(stalled, 'answered', stall);
  ok(later !== undefined && later >= 34_000, `${later}: while we stood still we heard nobody`);
});

test('[M13] every connection carries a beat in ten seconds; where nothing came back for 25 s it is hung up', () => {
  const view = View.connected(20);
  const { number } = stranger(view);
  const greeted = only(view.pass(11_000, [number]), 'beat').flatMap(({ peerIds }) => peerIds);
  equal(new Set(greeted).size, 20);
  equal(view.health(number), 'alive');
  const closed = only(view.pass(25_000, [number]), 'hang-up').map(({ peerId }) => peerId);
  deepEqual(closed, [peerOf(number)]);
  equal(view.health(number), 'suspect');
});

test('[M13] to whom three dials in a row failed is suspect, until a connection stands', () => {
  const view = new View(4);
  view.give({ type: 'recorded', id: idOf(1), incarnation: 1, left: false });
  for (let failures = 1; failures <= 3; failures++) {
    equal(view.health(1), 'alive');
    while (!only(view.pass(10), 'dial').some(({ id }) => id === idOf(1)));
    view.give({ type: 'dial-failed', id: idOf(1), peerId: peerOf(1), why: 'denied' });
  }
  equal(view.health(1), 'suspect');
  view.give({ type: 'connected', peerId: peerOf(1) });
  equal(view.health(1), 'alive');
});

test('[M12] who lets us in and cuts us again and again is dialled less and less often, until it stays', () => {
  const view = View.connected(3);
  /** Until the next dial of number 1, ms. */
  const waited = (): number => {
    const from = view.now;
    while (!only(view.pass(10), 'dial').some(({ id }) => id === idOf(1)));
    return view.now - from;
  };
  const cut = (): number => {
    view.give({ type: 'disconnected', peerId: peerOf(1) });
    const ms = waited();
    view.give({ type: 'connected', peerId: peerOf(1) });
    return ms;
  };
  view.pass(10_000);
  for (let i = 0; i < 2; i++)
    ok(cut() < 1_500, 'one that stood, and one that did not, are made anew at once');
  const pauses = Array.from({ length: 40 }, cut);
  const lateMs = pauses.slice(-20).reduce((sum, ms) => sum + ms, 0) / 20;
  ok(lateMs > 8_000, `${lateMs} ms`);
  ok(Math.max(...pauses) < 32_000, 'and never given up');
  view.pass(10_000);
  for (let i = 0; i < 3; i++) ok(cut() < 1_500, 'it stayed');
});

test('[M13] nobody is hung up for what we did not hear while we stood still', () => {
  const view = View.connected(20);
  view.now += 60_000;
  deepEqual(only(view.pass(15_000), 'hang-up'), []);
});

test('[M12] who is not known to be gone is dialled; who may be is knocked at before', () => {
  const fresh = new View(1);
  deepEqual(
    only(fresh.pass(500), 'dial').map(({ wary }) => wary),
    [false],
  );
  const view = View.connected(3);
  view.give({ type: 'disconnected', peerId: peerOf(1) });
  const dials = only(view.pass(1_000), 'dial');
  ok(dials.length > 0 && dials.every(({ wary }) => wary));
});

test('[M12] an observer whose kernel refuses after others told a death casts no vote; the first five repeat it', () => {
  const view = View.connected(20);
  for (const { id } of view.state.subjects.slice(0, 4)) {
    const number = Number(id.slice(2));
    const others = view.observers(number).filter((other) => other !== 0);
    const isFirst = view.observers(number).indexOf(0) < 5;
    const [probe] = only(view.give({ type: 'disconnected', peerId: peerOf(number) }), 'probe');
    ok(probe !== undefined);
    view.votes(number, 'refused', others.slice(0, 2));
    equal(view.health(number), 'dead');
    const outcomes = ['refused', 'refused'] as const;
    deepEqual(only(view.give({ type: 'probed', id, round: probe.round, outcomes }), 'vote'), []);
    const from = view.effects.length;
    for (let i = 0; i < 50; i++) {
      const asked = only(view.pass(100), 'probe').filter((one) => one.id === id);
      for (const { round } of asked) view.give({ type: 'probed', id, round, outcomes });
    }
    const votes = only(view.effects.slice(from), 'vote').filter(({ vote }) => vote.subject === id);
    equal(votes.length > 0, isFirst, `${number}: ${votes.length} votes`);
    ok(votes.length <= 2);
  }
});

test('[M12] an observer joins what another one says by a new look, every four seconds at most, however rarely it speaks by itself', () => {
  const view = View.connected(20);
  const [subject] = view.state.subjects;
  ok(subject !== undefined);
  const { id, peerId } = subject;
  const number = Number(id.slice(2));
  const [other = 0] = view.observers(number).filter((one) => one !== 0);
  let seen = 0;
  const during = (ms: number, outcome: 'silent' | 'answered' = 'silent'): string[] => {
    const votes: string[] = [];
    for (const end = view.now + ms; view.now < end;) {
      const since = view.effects.slice(seen);
      seen = view.effects.length;
      for (const { vote } of only(since, 'vote')) if (vote.subject === id) votes.push(vote.evidence);
      for (const { id, round } of only(since, 'probe'))
        view.give({ type: 'probed', id, round, outcomes: [outcome, outcome] });
      view.pass(50, [number]);
    }
    return votes;
  };
  const hear = (): void => view.votes(number, 'timeout', [other]);
  view.give({ type: 'disconnected', peerId });
  equal(during(34_000).length, 6, 'after 0, 1, 3, 7, 15 and 31 s');
  const heard = [0, 1, 2, 3].map(() => {
    hear();
    return during(1_000);
  });
  deepEqual(heard, [['timeout'], [], [], []]);
  hear();
  deepEqual(during(1_000), ['timeout']);
  deepEqual(during(10_000), [], 'nobody says anything');
  hear();
  deepEqual(during(1_500, 'answered'), ['slow'], 'nothing but what the kernel says');
});

test('[M14] whoever asks gets beats every 540 ms until it asks no more, 32 at the most', () => {
  const view = View.connected(45);
  for (let number = 1; number <= 45; number++) view.give({ type: 'watch', peerId: peerOf(number), on: true });
  const beats = only(view.pass(1_800), 'beat');
  equal(beats.length, 4);
  equal(beats[0]?.peerIds.length, 32);
  const observers = view.state.observers.map(({ peerId }) => peerId);
  for (const peerId of observers) ok(beats[0]?.peerIds.includes(peerId));
  for (let number = 1; number <= 44; number++)
    view.give({ type: 'watch', peerId: peerOf(number), on: false });
  ok(only(view.pass(2_000), 'beat').every(({ peerIds }) => peerIds.length <= 1));
});

test('[M14] two members whose clocks began apart beat at the same moments of the wall clock', () => {
  const phases = [1_000.25, 86_400_123.5].map((epochOffsetMs) => {
    const options = { selfId: idOf(0), ...binding(0), incarnation: 1, sequence: 1, epochOffsetMs };
    const state = init(options, { seed: 1 }, instant(17));
    return (state.beatAt + epochOffsetMs) % 540;
  });
  for (const phase of phases) ok(Math.min(phase, 540 - phase) < 0.001, `off by ${phase} ms`);
});

test('[M17] a node at rest ticks once in a period of beats; whose beat does not come is probed when its silence ends', () => {
  const view = View.connected(20);
  const subject = Number(view.state.subjects[0]?.id.slice(2));
  const ticksWhile = (ms: number, mute: readonly number[]): number => {
    let ticks = 0;
    for (const end = view.now + ms; view.now < end; view.now++) {
      if (view.now % 540 === 3) view.beats(mute);
      if (deadline(view.state) > view.now) continue;
      view.give({ type: 'tick' });
      ticks++;
    }
    return ticks;
  };
  ticksWhile(2_000, []);
  const ticks = ticksWhile(54_000, []);
  ok(ticks <= 105, `${ticks} ticks in a hundred periods`);
  ticksWhile(540 - ((view.now - 4) % 540), []);
  const lastWord = view.member(subject).heardAt;
  ticksWhile(639 - (view.now - lastWord), [subject]);
  const from = view.effects.length;
  ticksWhile(2, [subject]);
  deepEqual(
    only(view.effects.slice(from), 'probe').map(({ id }) => id),
    [idOf(subject)],
  );
});

test('[M13] up to fifty a vote goes to all over their connections, beyond by gossip', () => {
  for (const [others, wide] of [
    [49, false],
    [50, true],
  ] as const) {
    const view = View.connected(others);
    const [subject] = view.state.subjects;
    ok(subject !== undefined);
    const { id, peerId } = subject;
    const [probe] = only(view.give({ type: 'disconnected', peerId }), 'probe');
    view.give({ type: 'probed', id, round: probe!.round, outcomes: ['refused', 'refused'] });
    view.pass(200);
    deepEqual(
      only(view.effects, 'vote').map(({ vote, wide }) => [vote.subject, wide]),
      [[id, wide]],
    );
  }
});
