/** Where not all are connected with all: who is held dead by others hears of it from those whom it speaks to. */
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { idOf, only, peerOf, View } from './view.ts';

const subject = 5;

/** What we tell the subject once a digest of this member says so. */
const hear = (view: View, by: number, { incarnation = 1, says = 'dead' as 'dead' | 'nothing' } = {}) =>
  only(view.give({ type: 'rumoured', by: idOf(by), id: idOf(subject), incarnation, says }), 'accuse');

const told = (incarnation: number) => [{ type: 'accuse', peerId: peerOf(subject), incarnation }];

test('[M9] who is connected with us and held dead by two others is told so, every two seconds at most; one may lie', () => {
  const view = View.connected(60);
  deepEqual(hear(view, 1), []);
  deepEqual(hear(view, 1), []);
  deepEqual(hear(view, 2), told(1));
  deepEqual(hear(view, 3), []);
  view.pass(1_900);
  deepEqual(hear(view, 3), []);
  view.pass(200);
  deepEqual(hear(view, 3), told(1));
  equal(view.health(subject), 'alive');
});

test('[M9] it is told of the life that it lives, and two have to hold that one dead as well', () => {
  const view = View.connected(60);
  deepEqual(hear(view, 1), []);
  deepEqual(hear(view, 2), told(1));
  view.give({ type: 'recorded', id: idOf(subject), incarnation: 2, left: false });
  deepEqual(hear(view, 3), []);
  deepEqual(hear(view, 3, { incarnation: 2 }), []);
  deepEqual(hear(view, 1, { incarnation: 2 }), told(2));
});

test('[M9] who is lacked by others, or is not connected with us, is told nothing, nor is anybody in a full mesh', () => {
  const view = View.connected(60);
  for (const by of [1, 2, 3]) deepEqual(hear(view, by, { says: 'nothing' }), []);
  view.give({ type: 'disconnected', peerId: peerOf(subject) });
  for (const by of [1, 2, 3]) deepEqual(hear(view, by), []);
  const mesh = View.connected(30);
  for (const by of [1, 2, 3]) deepEqual(hear(mesh, by), []);
});

test('[M9] of those who are told no more is remembered than for half a minute', () => {
  const view = View.connected(60);
  hear(view, 1);
  view.pass(32_000);
  deepEqual(hear(view, 2), []);
  equal(view.state.contested.size, 1);
  view.pass(32_000);
  equal(view.state.contested.size, 0);
});
