import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { deadline, isCondemned, noInterruptions, step } from '../../src/localcloud/interruptions.ts';
import type { InterruptionEvent, Order } from '../../src/localcloud/interruptions.ts';
import { instant, wallTime } from '../../src/std/time.ts';

const order: Order = { action: 'terminate', noticeMs: 20_000, rebalanceFirstMs: null, reclaims: true };

function story() {
  let now = 0;
  let state = noInterruptions({ now: instant(0), wall: wallTime(1_000_000) });
  const tell = (event: InterruptionEvent): readonly string[] => {
    const [next, effects] = step(state, event, instant(now));
    state = next;
    return effects.map((effect) => effect.type);
  };
  return {
    tell,
    interrupt: (given: Partial<Order> = {}) =>
      tell({ type: 'interrupt', id: 'i-1', order: { ...order, ...given } }),
    next(): readonly string[] {
      now = deadline(state);
      return tell({ type: 'tick' });
    },
    pass: (ms: number): void => void (now += ms),
    at: () => now,
    deadline: () => deadline(state),
    plan: () => state.plans.get('i-1'),
    condemned: () => isCondemned(state, 'i-1'),
  };
}

test('a notice names the wall time of the end, and the end comes then', () => {
  const told = story();
  deepEqual(told.interrupt(), ['noticed']);
  const stage = told.plan()?.stage;
  equal(stage?.phase === 'noticed' && stage.time, 1_020_000);
  deepEqual(told.next(), ['reclaim']);
  equal(told.at(), 20_000);
  equal(told.deadline(), Infinity);
});

test('without notice the end comes at once and nothing is announced', () => {
  const told = story();
  deepEqual(told.interrupt({ noticeMs: 0 }), ['reclaim']);
  equal(told.plan(), undefined);
});

test('a recommendation may come first, and the notice follows it', () => {
  const told = story();
  deepEqual(told.interrupt({ rebalanceFirstMs: 5_000 }), ['rebalance-recommended']);
  equal(told.plan()?.rebalanceAt, 1_000_000);
  deepEqual(told.next(), ['noticed']);
  equal(told.at(), 5_000);
  equal(told.plan()?.rebalanceAt, 1_000_000);
  deepEqual(told.next(), ['reclaim']);
  equal(told.at(), 25_000);
});

test('a recommendation may stay without consequence, and is given once', () => {
  const told = story();
  deepEqual(told.tell({ type: 'recommend-rebalance', id: 'i-1' }), ['rebalance-recommended']);
  deepEqual(told.tell({ type: 'recommend-rebalance', id: 'i-1' }), []);
  equal(told.deadline(), Infinity);
  equal(told.condemned(), false);
  deepEqual(told.interrupt(), ['noticed']);
  equal(told.plan()?.rebalanceAt, 1_000_000);
});

test('a notice is never moved by a second one', () => {
  const told = story();
  told.interrupt();
  told.pass(1_000);
  deepEqual(told.interrupt({ noticeMs: 1_000 }), []);
  equal(told.deadline(), 20_000);
});

test('when the reclaim fails, the notice stays and lies in the past', () => {
  const told = story();
  told.interrupt({ reclaims: false });
  deepEqual(told.next(), []);
  equal(told.plan()?.stage.phase, 'noticed');
  equal(told.deadline(), Infinity);
});

test('an instance that ended otherwise is not reclaimed any more', () => {
  const told = story();
  told.interrupt();
  told.tell({ type: 'gone', id: 'i-1' });
  equal(told.deadline(), Infinity);
  equal(told.plan(), undefined);
});
