import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { heldBytes, type HeldLog } from '../../src/journal/wire.ts';
import { findLog } from '../../src/node/finding.ts';
import { memberId } from '../../src/std/member-id.ts';
import { instant, wallTime } from '../../src/std/time.ts';

/** One timer, which comes when the test says, however late that is. */
function lateClock() {
  let now = 0;
  let timer: { readonly at: number; readonly wake: () => void } | null = null;
  const clock = {
    now: () => instant(now),
    wallNow: () => wallTime(now),
    wakeAt: (at: number, wake: () => void) => {
      timer = { at, wake };
      return () => void (timer = null);
    },
  };
  const wakeLate = (ms: number): void => {
    const due = timer!;
    timer = null;
    now = due.at + ms;
    due.wake();
  };
  return { clock, wakeLate, isArmed: () => timer !== null };
}

const held = (epoch: number): HeldLog => ({
  fence: { epoch, by: memberId('a') },
  bytes: new Uint8Array(8),
  ended: false,
});

/** A search among two of which one has answered. */
function search() {
  const { clock, ...late } = lateClock();
  const ears: ((answer: Uint8Array | null) => void)[] = [];
  const told: (number | null)[] = [];
  findLog(
    {
      ...{ id: 's', ours: () => null, isEnough: () => true },
      places: [memberId('b'), memberId('c')],
    },
    { ask: (_member, _message, _withinMs, tell) => void ears.push(tell), clock },
    (found) => told.push(found?.fence.epoch ?? null),
  );
  const answer = (at: number, log: HeldLog): void => ears[at]!(heldBytes(log));
  answer(0, held(1));
  return { ...late, told, answer };
}

test('after a stall of its own a search hears what had come meanwhile before it ends', () => {
  const { told, answer, wakeLate, isArmed } = search();
  wakeLate(700);
  deepEqual([told, isArmed()], [[], true]);
  answer(1, held(2));
  deepEqual([told, isArmed()], [[2], false]);
});

test('a search ends by its time where nothing more comes, stall or not', () => {
  const prompt = search();
  prompt.wakeLate(5);
  deepEqual(prompt.told, [1]);
  const { told, wakeLate, isArmed } = search();
  wakeLate(700);
  wakeLate(0);
  deepEqual(told, [1]);
  equal(isArmed(), false);
});
