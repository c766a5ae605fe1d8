import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import type { Effect, Outcome } from '../../src/membership/events.ts';
import { idOf, only, peerOf, View } from './view.ts';

test('[M3] a closed connection is a probe at once, and suspicion at once', () => {
  const view = View.connected(4);
  const effects = view.give({ type: 'disconnected', peerId: peerOf(1) });
  equal(only(effects, 'probe').length, 1);
  equal(view.health(1), 'suspect');
});

test('[M3] whose kernel still answers just after its connection closed is asked again at once, and does not outlive that', () => {
  const view = View.connected(4);
  const round = (effects: readonly Effect[]): number => only(effects, 'probe')[0]?.round ?? -1;
  const probed = (at: number, outcome: Outcome): readonly Effect[] =>
    view.give({ type: 'probed', id: idOf(1), round: at, outcomes: [outcome, outcome] });
  const first = round(view.give({ type: 'disconnected', peerId: peerOf(1) }));
  deepEqual(only(probed(first, 'answered'), 'vote'), []);
  const second = round(view.pass(21));
  equal(only([...probed(second, 'refused'), ...view.pass(200)], 'vote')[0]?.vote.evidence, 'refused');
});

test('[M3] a process that closed a connection and lives is asked four times in a second, and then seldom', () => {
  const view = View.connected(4);
  let probes = only(view.give({ type: 'disconnected', peerId: peerOf(1) }), 'probe');
  const asked: number[] = [];
  for (let ms = 0; ms < 10_000; ms++) {
    for (const { round } of probes.filter(({ id }) => id === idOf(1))) {
      asked.push(ms);
      view.give({ type: 'probed', id: idOf(1), round, outcomes: ['answered', 'answered'] });
    }
    probes = only(view.pass(1), 'probe');
  }
  equal(asked.filter((ms) => ms < 1_000).length, 4, `${asked}`);
  ok(asked.length <= 6, `${asked}`);
});
