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

test('[M3] an answer just after its connection closed has to stand twice, and who does not answer then does not outlive that', () => {
  const view = View.connected(4);
  const probeIn = (effects: readonly Effect[]): Extract<Effect, { type: 'probe' }> =>
    only(effects, 'probe')[0]!;
  const probed = (round: number, outcome: Outcome): readonly Effect[] =>
    view.give({ type: 'probed', id: idOf(1), round, outcomes: [outcome, outcome] });
  const first = probeIn(view.give({ type: 'disconnected', peerId: peerOf(1) }));
  const answered = [...probed(first.round, 'answered'), ...view.pass(1)];
  deepEqual(only(answered, 'vote'), []);
  const second = probeIn(answered);
  deepEqual([first.standMs, second.standMs], [20, 60]);
  equal(only([...probed(second.round, 'refused'), ...view.pass(200)], 'vote')[0]?.vote.evidence, 'refused');
});

test('[M3] an answer to who asks for any other reason need not stand', () => {
  const view = View.connected(4);
  const silent = only(view.pass(1_000, [1]), 'probe');
  deepEqual(
    silent.map(({ id, standMs }) => [id, standMs]),
    [[idOf(1), 0]],
  );
});

test('[M3] a process that closed a connection and lives is asked three times in a second, and then seldom', () => {
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
  equal(asked.filter((ms) => ms < 1_000).length, 3, `${asked}`);
  ok(asked.length <= 6, `${asked}`);
});
