/** Those who come back, and those who had no time to speak. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { binding, idOf, only, peerOf, stranger, View } from './view.ts';

/** Dead by the word of its observers, with its connection gone. */
function kill(view: View, ...numbers: readonly number[]): void {
  for (const number of numbers) {
    const { incarnation } = view.member(number);
    view.give({ type: 'disconnected', peerId: peerOf(number) });
    view.votes(number, 'refused', view.observers(number), { incarnation });
    equal(view.health(number), 'dead');
  }
}

test('[M9] who meets one of several dead ones again raises its incarnation; for a single one it does not', () => {
  const view = View.connected(12);
  kill(view, 1);
  view.give({ type: 'connected', peerId: peerOf(1) });
  equal(only(view.pass(2_000), 'refute').length, 0);
  kill(view, 2, 3, 4);
  view.pass(3_000);
  view.give({ type: 'connected', peerId: peerOf(2) });
  equal(only(view.pass(700), 'refute').length, 1);
});

test('[M9] whom several dead ones tell that they live, was held dead by them too; new lives say nothing of that', () => {
  const view = View.connected(12);
  kill(view, 1, 2, 3);
  view.give({ type: 'recorded', id: idOf(1), incarnation: 10_000, left: false });
  equal(only(view.pass(3_000), 'refute').length, 0);
  kill(view, 4);
  view.give({ type: 'recorded', id: idOf(2), incarnation: 2, left: false });
  equal(only(view.pass(700), 'refute').length, 1);
});

test('[M9] who meets others again and again says so less and less often, and a single one is not answered by thousands', () => {
  const many = View.connected(60);
  kill(many, 1, 2, 3);
  const refutes = (ms: number): number => only(many.pass(ms), 'refute').length;
  many.give({ type: 'recorded', id: idOf(1), incarnation: 2, left: false });
  equal(refutes(3_000), 0);
  let said = 0;
  for (let round = 1; round <= 20; round++) {
    kill(many, 4, 5, 6);
    for (const number of [4, 5, 6])
      many.give({ type: 'recorded', id: idOf(number), incarnation: round + 1, left: false });
    said += refutes(3_000);
  }
  // 60 s of a cut that comes back each three seconds: at once, and 4, 8 and 16 s later at the soonest.
  equal(said, 4);
});

test('[M12] once one of several dead ones is connected again, the others are let be for 300 ms, and longer where dials are slow', () => {
  const view = View.connected(12);
  kill(view, 5, 6, 7, 8, 9);
  const dialled = (ms: number): readonly string[] => only(view.pass(ms), 'dial').map(({ id }) => id);
  const [first] = dialled(1_050);
  ok(first !== undefined);
  view.give({ type: 'connected', peerId: peerOf(Number(first.slice(2))) });
  equal(dialled(290).length, 0);
  ok(dialled(1_700).length > 0);
});

/** What is dialled while this passes, in vain. */
function passInVain(view: View, ms: number): void {
  for (let passed = 0; passed < ms; passed++)
    for (const { id, peerId } of only(view.pass(1), 'dial'))
      view.give({ type: 'dial-failed', id, peerId, why: 'silent' });
}

/** The next member that is dialled, and how long that took. */
function nextDial(view: View): { readonly number: number; readonly ms: number } {
  for (let ms = 0; ms < 15_000; ms++) {
    const [dial, ...more] = only(view.pass(1), 'dial');
    for (const { id, peerId } of more) view.give({ type: 'dial-failed', id, peerId, why: 'silent' });
    if (dial !== undefined) return { number: Number(dial.id.slice(2)), ms };
  }
  throw new Error('nobody is dialled');
}

/** Cut off from these for ten seconds, and one of them is back, by a dial that took a second. */
function reunited(others: number, lost: readonly number[]): { readonly view: View; readonly first: number } {
  const view = View.connected(others);
  kill(view, ...lost);
  passInVain(view, 10_000);
  const { number: first } = nextDial(view);
  passInVain(view, 1_000);
  view.give({ type: 'connected', peerId: peerOf(first) });
  return { view, first };
}

test('[M9] of more than four that are gone the end with the lower id redials every two seconds at most, the other one every ten', () => {
  /** Of each, in a minute; nobody answers. */
  const dialsOf = (numbers: readonly number[]): number => {
    const view = new View(0);
    for (const number of numbers) view.give({ type: 'bound', binding: binding(number) });
    passInVain(view, 10_000);
    const from = view.effects.length;
    passInVain(view, 60_000);
    return only(view.effects.slice(from), 'dial').length / numbers.length;
  };
  const isOften = [
    [-1, -2, -3, -4],
    [1, 2, 3, 4, 5],
    [-1, -2, -3, -4, -5],
  ].map((of) => dialsOf(of) > 30);
  deepEqual(isOften, [true, true, false]);
});

test('[M12] who was gone together is dialled at moments of its own, each time', () => {
  const { view } = reunited(12, [5, 6, 7, 8, 9]);
  const rests = [nextDial(view)];
  while (rests.length < 4) {
    passInVain(view, 1_000);
    view.give({ type: 'connected', peerId: peerOf(rests.at(-1)!.number) });
    rests.push(nextDial(view));
  }
  for (const { ms } of rests) ok(ms >= 1_495 && ms <= 3_050, `${ms}`);
  ok(new Set(rests.map(({ ms }) => Math.round(ms / 50))).size > 2, rests.map(({ ms }) => ms).join(' '));
});

test('[M12] after a cut those are dialled first whose beats we want, or who want ours', () => {
  const lost = Array.from({ length: 12 }, (_, i) => i + 1);
  const { view, first } = reunited(24, lost);
  const others = lost.filter((number) => number !== first);
  for (const number of others) view.give({ type: 'recorded', id: idOf(number), incarnation: 2, left: false });
  const isNeighbour = (number: number): boolean =>
    [...view.state.subjects, ...view.state.observers].some(({ id }) => id === idOf(number));
  const order: boolean[] = [];
  for (const _ of others) {
    const { number } = nextDial(view);
    order.push(isNeighbour(number));
    view.give({ type: 'connected', peerId: peerOf(number) });
  }
  const neighbours = order.filter(Boolean).length;
  ok(neighbours > 2 && neighbours < others.length - 2, `${neighbours} of ${others.length}`);
  deepEqual(
    order,
    others.map((_, i) => i < neighbours),
  );
});

/** Who is dialled beside the first of those that are lost, until its time is up. */
function besideTheFirst(view: View): readonly string[] {
  let first = only(view.pass(1), 'dial');
  while (first.length === 0) first = only(view.pass(1), 'dial');
  return [...first.slice(1), ...only(view.pass(495), 'dial')].map(({ id }) => id);
}

test('[M12] those who are gone are dialled one at a time where members are few, and two beyond', () => {
  const few = View.connected(12);
  kill(few, 5, 6, 7, 8, 9);
  deepEqual(besideTheFirst(few), []);
  const many = View.connected(60);
  kill(many, ...many.state.subjects.slice(0, 4).map(({ id }) => Number(id.slice(2))));
  equal(besideTheFirst(many).length, 1);
});

test('[M12] beside one who is gone whoever is in doubt has a place of its own', () => {
  const view = View.connected(12);
  kill(view, 5, 6, 7, 8, 9);
  while (only(view.pass(1), 'dial').length === 0);
  isDialledInDoubt(view, 490);
});

/** Whose connection closes is the next to be dialled, before that. */
function isDialledInDoubt(view: View, beforeMs: number): void {
  view.give({ type: 'disconnected', peerId: peerOf(3) });
  equal(view.health(3), 'suspect');
  const { number, ms } = nextDial(view);
  deepEqual([number, ms < beforeMs], [3, true], `${number} after ${ms} ms`);
}

test('[M12] once one of several dead ones is back by its record, the others are let be for 300 ms', () => {
  const view = View.connected(12);
  kill(view, 5, 6, 7, 8, 9);
  passInVain(view, 10_000);
  nextDial(view);
  passInVain(view, 495);
  view.give({ type: 'recorded', id: idOf(5), incarnation: 2, left: false });
  const { ms } = nextDial(view);
  ok(ms >= 295 && ms < 2_600, `${ms}`);
});

test('[M13] of the dials that failed while it was dead one counts against who came back by its record', () => {
  const view = View.connected(8);
  kill(view, 1, 2, 3);
  passInVain(view, 10_000);
  view.give({ type: 'recorded', id: idOf(1), incarnation: 2, left: false });
  const healths: (string | undefined)[] = [];
  while (healths.length < 2) {
    for (const { id, peerId } of only(view.pass(1), 'dial')) {
      view.give({ type: 'dial-failed', id, peerId, why: 'silent' });
      if (id === idOf(1)) healths.push(view.health(1));
    }
  }
  deepEqual(healths, ['alive', 'suspect']);
});

test('[M12] whoever is in doubt waits for no rest', () => {
  const { view } = reunited(12, [5, 6, 7, 8, 9]);
  isDialledInDoubt(view, 500);
});

test('[M9] who came back by its record, and is not connected yet, is not slow for ten seconds', () => {
  const view = View.connected(8);
  kill(view, 1, 2, 3);
  const back = [1, 2, 3].find((number) => view.observers(number).includes(0));
  ok(back !== undefined);
  view.give({ type: 'recorded', id: idOf(back), incarnation: 2, left: false });
  const answered = (ms: number): void => {
    for (const { id, round } of only(view.pass(ms), 'probe'))
      view.give({ type: 'probed', id, round, outcomes: ['answered', 'answered'] });
  };
  for (let passed = 0; passed < 9_500; passed += 100) {
    answered(100);
    equal(view.health(back), 'alive');
  }
  for (let passed = 0; passed < 10_000 && view.health(back) === 'alive'; passed += 100) answered(100);
  equal(view.health(back), 'suspect');
});

test('[M10] what takes a vote back counts though it lay in our buffers while we stood still', () => {
  const view = View.connected(20);
  const { number, observers } = stranger(view);
  const [first] = observers;
  view.pass(1_000, [number]);
  view.votes(number, 'slow', [first!]);
  equal(view.health(number), 'suspect');
  view.now += 5_000;
  view.give({ type: 'tick' });
  view.votes(number, 'alive', [first!]);
  equal(view.health(number), 'alive');
});

test('[M10] after a short stall the silent have twice the time, unless they have had it', () => {
  const view = View.connected(8);
  const subject = Number(view.state.subjects[0]?.id.slice(2));
  view.pass(400, [subject]);
  const lastWord = view.member(subject).heardAt;
  view.now += 620;
  view.give({ type: 'tick' });
  const stalledAt = view.now;
  for (let ms = 0; ms < 3_000 && only(view.pass(1, [subject]), 'probe').length === 0; ms++);
  equal(view.now - 1, Math.min(stalledAt + 2 * 640, lastWord + 2_000));
});
