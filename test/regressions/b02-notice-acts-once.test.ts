/**
 * B2: the same notice started the hand-over anew every five seconds, only `terminate` was acted on, and the rebalance
 * recommendation was never read.
 */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { actionPath, until, watched, type Watched } from './watched-instance.ts';

const facts = ({ facts: all }: Watched, name: string): number =>
  all.filter(({ fact }) => fact === name).length;

const readsAgain = ({ imds }: Watched, path: string, times: number): Promise<number> => {
  const before = imds.reads.length;
  return until(
    `${path} is read ${times} times`,
    () => imds.reads.slice(before).filter((read) => read === path).length >= times,
    60_000,
  );
};

for (const [action, expectedMs] of [
  ['terminate', 90_000],
  ['stop', 90_000],
  ['hibernate', 0],
] as const) {
  test(`[B2] ${action} starts one drain, however often the notice is read`, () =>
    watched(async (instance) => {
      const sentAt = Date.now();
      instance.notice(action, 90_000);
      await until('acted on', () => instance.announced.length > 0, 30_000);
      await readsAgain(instance, actionPath, 5);
      equal(instance.announced.length, 1);
      equal(facts(instance, 'interruption.noticed'), 1);
      const [first] = instance.announced;
      ok(Math.abs((first?.deadline ?? 0) - sentAt - expectedMs) < 10_000);
    }));
}

test('[B2] a notice whose time has passed means now, and a time further off than AWS gives is not believed', async () => {
  for (const [inMs, expectedMs] of [
    [-600_000, 0],
    [3_600_000, 120_000],
  ] as const) {
    await watched(async (instance) => {
      const sentAt = Date.now();
      instance.notice('terminate', inMs);
      await until('acted on', () => instance.announced.length > 0, 30_000);
      ok(Math.abs((instance.announced[0]?.deadline ?? 0) - sentAt - expectedMs) < 10_000);
    });
  }
});

test('[B2] a rebalance recommendation is read and told once, and drains nothing', () =>
  watched(async (instance) => {
    const path = 'meta-data/events/recommendations/rebalance';
    instance.imds.tree.set(path, JSON.stringify({ noticeTime: new Date().toISOString() }));
    await readsAgain(instance, path, 2);
    await until('told', () => facts(instance, 'rebalance.recommended') > 0, 30_000);
    equal(facts(instance, 'rebalance.recommended'), 1);
    deepEqual(instance.announced, []);
  }));
