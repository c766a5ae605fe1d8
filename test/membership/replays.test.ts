import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { isNews, nothingHeard } from '../../src/membership/replays.ts';
import { memberId } from '../../src/std/member-id.ts';
import { idOf, View } from './view.ts';

const others = 20;
const numbers = Array.from({ length: others }, (_, i) => i + 1);

/** Somebody, and two whom it observes and we do not. */
function pair(view: View): { readonly voter: number; readonly one: number; readonly other: number } {
  const ours = new Set(view.state.subjects.map(({ id }) => id));
  for (const voter of numbers) {
    const theirs = numbers.filter(
      (number) => view.observers(number).includes(voter) && !ours.has(idOf(number)),
    );
    const [one, other] = theirs;
    if (one !== undefined && other !== undefined) return { voter, one, other };
  }
  throw new Error('nobody observes two of those');
}

test('[M7] a vote that others of its voter overtook counts, once, where they were on other subjects', () => {
  const view = View.connected(others);
  const { voter, one, other } = pair(view);
  view.pass(1_000, [one, other]);
  view.votes(one, 'refused', [voter], { sequence: view.now });
  const overtaken = { sequence: view.now - 400 };
  view.votes(other, 'refused', [voter], overtaken);
  deepEqual([view.health(one), view.health(other)], ['suspect', 'suspect']);
  view.give({ type: 'disconnected', peerId: `peer-${other}` });
  view.give({ type: 'connected', peerId: `peer-${other}` });
  view.pass(700, [one, other]);
  equal(view.health(other), 'alive');
  view.votes(other, 'refused', [voter], overtaken);
  equal(view.health(other), 'alive');
});

test('[M7] a vote that a later one on the same subject overtook counts no more', () => {
  const view = View.connected(others);
  const { voter, one } = pair(view);
  view.pass(1_000, [one]);
  view.votes(one, 'alive', [voter], { sequence: view.now });
  view.votes(one, 'refused', [voter], { sequence: view.now - 1 });
  equal(view.health(one), 'alive');
  view.votes(one, 'refused', [voter], { sequence: view.now + 1 });
  equal(view.health(one), 'suspect');
});

test('[M7] of a voter 64 subjects are remembered; what is older than all of them is no news again', () => {
  const heard = nothingHeard(1);
  const said = (subject: number, sequence: number): boolean =>
    isNews(heard, { subject: memberId(`i-${subject}`), sequence });
  for (let subject = 0; subject < 100; subject++) ok(said(subject, 1_000 + subject));
  equal(heard.newest.length, 64);
  for (let subject = 0; subject < 100; subject++) ok(!said(subject, 1_000 + subject), `${subject}`);
  ok(!said(200, 1_035), 'as old as the last that was forgotten');
  ok(said(200, 1_050), 'among those remembered');
  ok(said(99, 1_100) && said(0, 1_101));
});
