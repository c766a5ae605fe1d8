import { equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../src/os/clock.ts';
import { after, instant, never } from '../../src/std/time.ts';

test('a wake comes once, and never before its instant', async () => {
  const waits = [0, 1, 3, 7.25, 20.5];
  const early = await Promise.all(
    waits.map(
      (ms) =>
        new Promise<number>((resolve) => {
          const at = after(systemClock.now(), ms);
          systemClock.wakeAt(at, () => resolve(Math.max(0, at - systemClock.now())));
        }),
    ),
  );
  equal(Math.max(...early), 0);
});

test('an instant in the past wakes at once, but not before the call returns', async () => {
  let woken = false;
  const waking = new Promise<void>((resolve) => {
    systemClock.wakeAt(instant(-1), () => {
      woken = true;
      resolve();
    });
  });
  equal(woken, false);
  await waking;
});

test('what was disarmed, never, and a month from now do not wake', async () => {
  let woken = 0;
  const disarm = [
    systemClock.wakeAt(after(systemClock.now(), 1), () => (woken += 1)),
    systemClock.wakeAt(never, () => (woken += 1)),
    systemClock.wakeAt(after(systemClock.now(), 31 * 86_400_000), () => (woken += 1)),
  ];
  disarm[0]!();
  await new Promise<void>((resolve) => void systemClock.wakeAt(after(systemClock.now(), 5), resolve));
  disarm.forEach((take) => take());
  equal(woken, 0);
});

test('the wall clock is the time of day', () => {
  ok(Math.abs(systemClock.wallNow() - Date.now()) < 1_000);
});
