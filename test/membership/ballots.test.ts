import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { cast as castAt, disprove, isFatal, newPoll, purge, tally } from '../../src/membership/ballots.ts';
import type { Vote } from '../../src/membership/events.ts';
import { memberId } from '../../src/std/member-id.ts';
import { instant, type Instant } from '../../src/std/time.ts';

const a = memberId('i-a');
const b = memberId('i-b');

let sequence = 0;
const vote = (evidence: Vote['evidence'], at = ++sequence): Vote => ({
  subject: memberId('i-x'),
  incarnation: 1,
  evidence,
  life: 1,
  sequence: at,
});

type Poll = ReturnType<typeof newPoll>;

/** Heard as it is cast. */
const cast = (poll: Poll, by: typeof a, what: Vote, now: Instant): boolean =>
  castAt(poll, by, { vote: what, castAt: now }, now);

const counts = (poll: Poll, ms: number) => tally(poll, () => true, instant(ms));

test('[M7] a ballot of a later life replaces one of an earlier life, whatever their numbers; never the other way', () => {
  const poll = newPoll(1);
  ok(cast(poll, a, { ...vote('slow', 900), life: 1 }, instant(0)));
  ok(cast(poll, a, { ...vote('alive', 3), life: 2 }, instant(1)));
  ok(!cast(poll, a, { ...vote('slow', 901), life: 1 }, instant(2)));
  deepEqual(counts(poll, 3), { refused: 0, timeout: 0, slow: 0 });
});

test('[M4] with eight observers two refusals are fatal, or five that got no answer', () => {
  ok(isFatal({ refused: 2, timeout: 0, slow: 0 }, 8));
  ok(!isFatal({ refused: 1, timeout: 2, slow: 8 }, 8));
  ok(!isFatal({ refused: 1, timeout: 3, slow: 0 }, 8));
  ok(isFatal({ refused: 1, timeout: 4, slow: 0 }, 8));
  ok(isFatal({ refused: 0, timeout: 5, slow: 0 }, 8));
});

test('[M4] half of the observers without an answer are not fatal, because one of them may lie', () => {
  for (const observers of [4, 5, 6, 7, 8]) {
    const half = Math.floor(observers / 2);
    ok(!isFatal({ refused: 1, timeout: half - 1, slow: 0 }, observers));
    ok(isFatal({ refused: 0, timeout: half + 1, slow: 0 }, observers));
  }
});

test('[M4] with up to three observers nothing but all of them is fatal, or two refusals', () => {
  const fatal = (refused: number, timeout: number, observers: number): boolean =>
    isFatal({ refused, timeout, slow: 0 }, observers);
  deepEqual([fatal(0, 1, 1), fatal(1, 0, 1)], [true, true]);
  deepEqual([fatal(0, 1, 2), fatal(1, 0, 2), fatal(0, 2, 2), fatal(1, 1, 2)], [false, false, true, true]);
  deepEqual([fatal(0, 2, 3), fatal(2, 0, 3), fatal(1, 2, 3)], [false, true, true]);
  ok(!fatal(8, 8, 0));
});

test('[M5] slow votes are never fatal, however many', () => {
  for (let observers = 1; observers <= 8; observers++) {
    ok(!isFatal({ refused: 0, timeout: 0, slow: observers }, observers));
  }
});

test('[M7] what a kernel said counts for two seconds, slow for twenty', () => {
  const poll = newPoll(1);
  cast(poll, a, vote('refused'), instant(0));
  cast(poll, b, vote('slow'), instant(0));
  deepEqual(counts(poll, 1_999), { refused: 1, timeout: 0, slow: 1 });
  deepEqual(counts(poll, 2_000), { refused: 0, timeout: 0, slow: 1 });
  deepEqual(counts(poll, 20_000), { refused: 0, timeout: 0, slow: 0 });
});

test('[M7] a vote ends two seconds after it was cast, however late it came', () => {
  const poll = newPoll(1);
  castAt(poll, a, { vote: vote('refused'), castAt: instant(0) }, instant(1_500));
  deepEqual(counts(poll, 1_999), { refused: 1, timeout: 0, slow: 0 });
  deepEqual(counts(poll, 2_000), { refused: 0, timeout: 0, slow: 0 });
  equal(castAt(poll, b, { vote: vote('refused'), castAt: instant(0) }, instant(2_000)), false);
  equal(castAt(poll, b, { vote: vote('alive'), castAt: instant(0) }, instant(9_000)), true);
});

test('[M7] a voter has one ballot: the newest replaces the one before, and alive takes it back', () => {
  const poll = newPoll(1);
  cast(poll, a, vote('slow'), instant(0));
  cast(poll, a, vote('timeout'), instant(10));
  deepEqual(counts(poll, 20), { refused: 0, timeout: 1, slow: 0 });
  cast(poll, a, vote('alive'), instant(30));
  deepEqual(counts(poll, 40), { refused: 0, timeout: 0, slow: 0 });
});

test('[M7] an older vote that comes later counts for nothing, even after the newer took it back', () => {
  const poll = newPoll(1);
  const slow = vote('slow');
  cast(poll, a, vote('alive'), instant(0));
  equal(cast(poll, a, slow, instant(5)), false);
  deepEqual(counts(poll, 10), { refused: 0, timeout: 0, slow: 0 });
});

/** How much of `ms` the subject is suspect when a vote is cast every 100 ms. */
function heldMs(ms: number, voters: readonly (typeof a)[], evidence: 'refused' | 'slow'): number {
  const poll = newPoll(1);
  let held = 0;
  for (let now = 0; now < ms; now += 100) {
    for (const by of voters) cast(poll, by, vote(evidence), instant(now));
    const { refused, slow } = counts(poll, now + 99);
    if (refused + slow > 0) held += 100;
  }
  return held;
}

test('[M7] a voter whom nobody seconds holds a subject for half of the time, and 40 s beyond', () => {
  for (const evidence of ['refused', 'slow'] as const) {
    const ms = heldMs(600_000, [a], evidence);
    ok(ms <= 342_000, `${evidence} ${ms}`);
  }
});

test('[M7] two who say the same are believed for as long as they say it', () => {
  ok(heldMs(300_000, [a, b], 'slow') >= 299_900);
});

test('[M8] a word takes back slow, a new connection everything', () => {
  const poll = newPoll(1);
  cast(poll, a, vote('slow'), instant(0));
  cast(poll, b, vote('refused'), instant(0));
  disprove(poll, 'word', instant(10));
  deepEqual(counts(poll, 10), { refused: 1, timeout: 0, slow: 0 });
  disprove(poll, 'connection', instant(20));
  deepEqual(counts(poll, 20), { refused: 0, timeout: 0, slow: 0 });
});

test('[M7] a poll is forgotten once its votes are over and what they held is paid back', () => {
  const poll = newPoll(1);
  cast(poll, a, vote('refused'), instant(0));
  equal(purge(poll, instant(3_000)), false);
  equal(purge(poll, instant(10_000)), true);
});
