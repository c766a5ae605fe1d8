import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { deadline, init, step } from '../../src/node/denials.ts';
import type { Fact } from '../../src/node/facts.ts';
import { instant, never } from '../../src/std/time.ts';
import { openTelemetry } from '../../src/telemetry/telemetry.ts';

const tick = { type: 'tick' } as const;

/** Steps to one machine, woken when it wants to be, and what it told: [at, peer, times]. */
function play() {
  const state = init();
  const told: (readonly [at: number, peerId: string | null, times: number])[] = [];
  const facts: Fact[] = [];
  const take = (at: number, event: Parameters<typeof step>[1]): void => {
    for (const fact of step(state, event, instant(at))[1]) {
      told.push([at, fact.peerId, fact.times]);
      facts.push(fact);
    }
  };
  const until = (at: number): void => {
    for (let due = deadline(state); due <= at; due = deadline(state)) take(due, tick);
  };
  const deny = (at: number, peerId: string): void => {
    until(at);
    take(at, { type: 'denied', peerId });
  };
  return { state, told, facts, until, deny };
}

test('the first denial of a peer is told at once, and how often it follows once in ten seconds', () => {
  const { told, until, deny } = play();
  for (let at = 0; at < 25_000; at += 10) deny(at, 'eve');
  until(60_000);
  deepEqual(told, [
    [0, 'eve', 1],
    [10_000, 'eve', 999],
    [20_000, 'eve', 1_000],
    [30_000, 'eve', 500],
  ]);
});

test('of each peer by itself, and one that was quiet for ten seconds is new', () => {
  const { state, told, until, deny } = play();
  deny(0, 'eve');
  deny(4_000, 'mallory');
  deny(5_000, 'mallory');
  deny(12_000, 'eve');
  until(100_000);
  deepEqual(told, [
    [0, 'eve', 1],
    [4_000, 'mallory', 1],
    [12_000, 'eve', 1],
    [14_000, 'mallory', 1],
  ]);
  deepEqual([state.size, deadline(state)], [0, never]);
});

test('a wake that comes late loses nothing, and one that comes early tells nothing', () => {
  const { state, told, deny } = play();
  for (const at of [0, 1, 2]) deny(at, 'eve');
  deepEqual(step(state, tick, instant(9_999))[1], []);
  deepEqual(step(state, { type: 'denied', peerId: 'eve' }, instant(17_000))[1], [
    { fact: 'peer.denied', peerId: 'eve', times: 2 },
  ]);
  equal(deadline(state), 27_000);
  deepEqual(step(state, tick, instant(27_000))[1], [{ fact: 'peer.denied', peerId: 'eve', times: 1 }]);
  deepEqual(told, [[0, 'eve', 1]]);
});

test('who comes with ever new keys has sixteen named and the others counted, less than two lines a second', () => {
  const { state, told, until, deny } = play();
  let most = 0;
  for (let n = 0; n < 6_000; n++) {
    deny(n * 10, `key-${n}`);
    most = Math.max(most, state.size);
  }
  until(100_000);
  equal(most, 17);
  ok(told.length < 2 * 60, `${told.length} lines`);
  deepEqual(told.slice(15, 17), [
    [150, 'key-15', 1],
    [160, null, 1],
  ]);
  equal(
    told.reduce((sum, [, , times]) => sum + times, 0),
    6_000,
  );
});

test('the counter has each of them', async () => {
  const { facts, until, deny } = play();
  const { report, metrics } = openTelemetry({
    ...{ level: 'error', format: 'json', out: { write: () => {} } },
    ...{ routes: [], models: () => [], samples: () => [] },
  });
  for (let n = 0; n < 300; n++) deny(n * 10, `key-${n % 20}`);
  until(20_000);
  facts.forEach(report);
  ok((await metrics()).includes('\nsynkti_peers_denied_total 300\n'));
});
