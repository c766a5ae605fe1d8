import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import type { Vote } from '../../src/membership/events.ts';
import { castVote } from '../../src/membership/state.ts';
import { instant } from '../../src/std/time.ts';
import { binding, idOf, peerOf, stranger, View } from './view.ts';

test('[M7] a later life of a voter counts at once though its clock went back, and an earlier one no more', () => {
  const view = View.connected(20);
  const { number, observers } = stranger(view);
  const [voter] = observers as [number];
  const refuse = (life: number, sequence: number): void =>
    view.votes(number, 'refused', [voter], { life, sequence });
  // A restarted one that is connected has said what time it is by its clock now.
  view.give({ type: 'disconnected', peerId: peerOf(voter) });
  view.pass(1_000, [number]);
  refuse(1, 3_600_000);
  equal(view.health(number), 'suspect');
  view.pass(2_100, [number]);
  equal(view.health(number), 'alive');
  refuse(2, 50);
  equal(view.health(number), 'suspect');
  view.pass(2_100, [number]);
  for (const [life, sequence] of [
    [1, 3_700_000],
    [2, 50],
  ] as const) {
    refuse(life, sequence);
    equal(view.health(number), 'alive');
  }
});

test('[M7] own votes are of the life that the record began with, or was raised to over a record of an earlier one', () => {
  const view = View.connected(3);
  const voted = (): Pick<Vote, 'life' | 'sequence'> =>
    castVote(view.state, view.member(1), 'slow', instant(view.now)).vote;
  const recorded = (incarnation: number): void =>
    void view.give({ type: 'recorded', id: idOf(0), incarnation, left: false });
  const [first, second] = [voted(), voted()];
  deepEqual([first.life, second.life, second.sequence - first.sequence], [5, 5, 1]);
  recorded(6);
  equal(voted().life, 5);
  recorded(1_000);
  equal(voted().life, 1_000);
  recorded(1_001);
  equal(voted().life, 1_000);
});

test('[M1] of an instance with a new key no vote of the old one counts, and its own do, though its clock was set back', () => {
  const view = View.connected(20);
  const { number, observers } = stranger(view);
  const [voter] = observers as [number];
  view.pass(1_000, [number]);
  view.votes(number, 'slow', [voter], { life: 9, sequence: 3_600_000 });
  equal(view.health(number), 'suspect');
  view.give({ type: 'bound', binding: binding(voter, { peerId: 'peer-new' }) });
  equal(view.health(number), 'alive');
  view.votes(number, 'refused', [voter], { life: 2, sequence: 50 });
  equal(view.health(number), 'suspect');
});
