import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import type { Outcome } from '../../src/membership/events.ts';
import { members } from '../../src/membership/explanation.ts';
import { idOf, only, peerOf, stranger, View } from './view.ts';

/** Lets time pass in which every kernel that is asked gives that answer. */
function pass(view: View, ms: number, outcome: Outcome): void {
  for (const end = view.now + ms; view.now < end;) {
    for (const { id, round } of only(view.pass(50), 'probe'))
      view.give({ type: 'probed', id, round, outcomes: [outcome, outcome] });
  }
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
