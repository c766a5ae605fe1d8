import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { addWork, noWork, workOf } from '../../src/routing/work.ts';
import { memberId, type MemberId } from '../../src/std/member-id.ts';

const named = (model: string, count: number): MemberId[] =>
  Array.from({ length: count }, (_, i) => memberId(`${model}-${i}`));

test('whoever is new begins with the mean of those that are asked beside it', () => {
  const work = noWork();
  const [a, b, c] = named('m', 3);
  addWork(work, a!, 10);
  addWork(work, b!, 30);
  deepEqual(workOf(work, [a!, b!, c!]), { mean: 20 });
  equal(work.get(c!), 20);
});

test('what the members of one model got is neither forgotten nor halved for a request that goes to another one', () => {
  const work = noWork();
  const many = named('large', 500);
  for (const member of many) addWork(work, member, 7);
  const [only] = named('small', 1);
  addWork(work, only!, 100_000);
  deepEqual(workOf(work, [only!]), { mean: 50_000 });
  deepEqual(workOf(work, []), { mean: 0 });
  ok(many.every((member) => work.get(member) === 7));
  equal(work.get(only!), 50_000);
});

test('of members that came and went no more are remembered than twice as many as a cluster has', () => {
  const work = noWork();
  const here = named('here', 3);
  for (const member of here) addWork(work, member, 1);
  for (let at = 0; at < 5_000; at++) {
    const member = memberId(`gone-${at}`);
    workOf(work, [...here, member]);
  }
  equal(work.size, 2_000);
  ok(here.every((member) => work.has(member)));
});
