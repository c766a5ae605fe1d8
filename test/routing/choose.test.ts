import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import {
  choose as chooseAt,
  type Candidate,
  type Choice,
  type Standing,
  type Wish,
} from '../../src/routing/choose.ts';
import { memberId } from '../../src/std/member-id.ts';
import type { Rng } from '../../src/std/random.ts';

const relaxed: Wish = { avoid: [], urgent: false };

const candidate = (name: string, running: number | null, rest: Partial<Candidate> = {}): Candidate => ({
  member: memberId(name),
  load: running === null ? null : { running, waiting: 0 },
  ...{ unreported: 0, near: true, weight: 1 },
  ...rest,
});
const standing = (...ready: Candidate[]): Standing => ({ ready, starting: 0 });

/** Without a prefix to go by. */
const choose = (among: Standing | null, wish: Wish, rng: Rng): [Choice, Rng] =>
  chooseAt(among, { ...wish, home: null }, rng);

function chosen(among: Standing, wish = relaxed, rng: Rng = { seed: 1 }): string {
  const [choice] = choose(among, wish, rng);
  return choice.type === 'chosen' ? choice.member : choice.why;
}

/** How often each is chosen in `times` draws. */
function shares(among: Standing, times: number): Record<string, number> {
  const count: Record<string, number> = {};
  let rng: Rng = { seed: 13 };
  for (let i = 0; i < times; i++) {
    const [choice, next] = choose(among, relaxed, rng);
    rng = next;
    const name = choice.type === 'chosen' ? choice.member : choice.why;
    count[name] = (count[name] ?? 0) + 1;
  }
  return count;
}

test('[R1] the member with the fewest requests is chosen, waiting ones count', () => {
  const busy = candidate('b', 2, { load: { running: 1, waiting: 4 } });
  equal(chosen(standing(candidate('a', 4), busy, candidate('c', 5))), 'a');
});

test('[R2] equals share by lot, and the same seed draws the same lot', () => {
  const equals = standing(candidate('a', 1), candidate('b', 1), candidate('c', 1));
  const count = shares(equals, 3_000);
  for (const share of Object.values(count)) ok(Math.abs(share - 1_000) < 150, JSON.stringify(count));
  deepEqual(shares(equals, 50), shares(equals, 50));
});

test('[R2] among equals those in the own zone come first', () => {
  const far = ['a', 'b', 'c'].map((name) => candidate(name, 1, { near: false }));
  equal(chosen(standing(...far, candidate('d', 1))), 'd');
  equal(chosen(standing(candidate('far', 1, { near: false }), candidate('near', 2))), 'far');
});

test('[R3] a member that has said nothing comes after all that have, and before nobody', () => {
  equal(chosen(standing(candidate('silent', null), candidate('busy', 90))), 'busy');
  equal(chosen(standing(candidate('silent', null))), 'silent');
  const silent = [candidate('a', null, { unreported: 2 }), candidate('b', null, { unreported: 1 })];
  equal(chosen(standing(...silent)), 'b');
});

test('[R4] a burst spreads over the members although none reports in between', () => {
  const sent: Record<string, number> = { a: 0, b: 0, c: 0 };
  let rng: Rng = { seed: 7 };
  for (let i = 0; i < 60; i++) {
    const load = { a: 0, b: 6, c: 12 };
    const now = (['a', 'b', 'c'] as const).map((n) => candidate(n, load[n], { unreported: sent[n]! }));
    const [choice, next] = choose(standing(...now), relaxed, rng);
    rng = next;
    if (choice.type === 'chosen') sent[choice.member] = sent[choice.member]! + 1;
  }
  deepEqual(sent, { a: 26, b: 20, c: 14 });
});

test('[R5] who is to be avoided is not chosen, however idle', () => {
  const two = standing(candidate('a', 0), candidate('b', 50));
  equal(chosen(two, { avoid: [memberId('a')], urgent: false }), 'b');
  equal(chosen(two, { avoid: [memberId('a'), memberId('b')], urgent: true }), 'unavailable');
});

test('[R5] a full member takes no new request, but goes on with one that has begun', () => {
  const full = candidate('full', 0, { load: { running: 1, waiting: 256 } });
  equal(chosen(standing(full)), 'full');
  equal(chosen(standing(full), { avoid: [], urgent: true }), 'full');
  equal(choose(standing(full), { avoid: [], urgent: true }, { seed: 1 })[0].type, 'chosen');
  equal(chosen(standing(full, candidate('roomy', 400))), 'roomy');
});

test('[R5] a member whose KV cache is nearly full comes after all that have room', () => {
  const pressed = candidate('pressed', 0, { load: { running: 2, waiting: 0, kvUsage: 0.97 } });
  equal(chosen(standing(pressed, candidate('busy', 40))), 'busy');
  equal(chosen(standing(pressed)), 'pressed');
});

test('[R6] who cannot be served is told why', () => {
  const why = (among: Standing | null) => {
    const [choice] = choose(among, relaxed, { seed: 1 });
    return choice.type === 'none' ? choice.why : choice.member;
  };
  equal(why(null), 'unknown-model');
  equal(why({ ready: [], starting: 1 }), 'starting');
  equal(why({ ready: [], starting: 0 }), 'unavailable');
});
