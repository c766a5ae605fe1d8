import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { deadline, emptyGroup, step, targetState } from '../../../src/localcloud/autoscaling/group.ts';
import type { GroupEvent, GroupSettings } from '../../../src/localcloud/autoscaling/group.ts';
import { instant } from '../../../src/std/time.ts';

const settings: GroupSettings = {
  name: 'nodes',
  min: 0,
  max: 10,
  replaceAfterMs: 5_000,
  capacityRebalance: false,
  terminationHook: null,
};

const zones = ['a', 'b', 'c'];

/** A group whose launches are answered at once, in turn in zones a, b and c, and run at once. */
function story(overrides: Partial<GroupSettings> = {}) {
  let now = 0;
  let launched = 0;
  const group = emptyGroup({ ...settings, ...overrides });
  const terminated: string[] = [];
  let capacity = true;

  function tell(event: GroupEvent): void {
    const [, effects] = step(group, event, instant(now));
    for (const effect of effects) {
      if (effect.type === 'terminate') terminated.push(effect.id);
      else if (capacity) join();
      else tell({ type: 'refused' });
    }
  }

  function join(): void {
    launched += 1;
    tell({ type: 'joined', id: `i-${launched}`, zone: zones[(launched - 1) % 3]! });
    tell({ type: 'running', id: `i-${launched}` });
  }

  /** Lets everything happen that is due within `ms`. */
  function pass(ms: number): void {
    const end = now + ms;
    while (deadline(group) <= end) {
      now = Math.max(now, deadline(group));
      tell({ type: 'tick' });
    }
    now = end;
  }

  return {
    group,
    tell,
    pass,
    terminated,
    members: () => [...group.members.keys()],
    launched: () => launched,
    outage: (on: boolean) => void (capacity = !on),
  };
}

function groupOf(count: number, overrides: Partial<GroupSettings> = {}) {
  const told = story(overrides);
  told.tell({ type: 'desired', count });
  told.pass(0);
  return told;
}

test('what is desired is launched at once', () => {
  deepEqual(groupOf(3).members(), ['i-1', 'i-2', 'i-3']);
});

test('what is lost is replaced after the delay, and not before', () => {
  const told = groupOf(3);
  told.tell({ type: 'lost', id: 'i-2' });
  told.pass(4_999);
  deepEqual(told.members(), ['i-1', 'i-3']);
  told.pass(1);
  deepEqual(told.members(), ['i-1', 'i-3', 'i-4']);
});

test('lowering the desired capacity calls a replacement off', () => {
  const told = groupOf(3);
  told.tell({ type: 'lost', id: 'i-2' });
  told.tell({ type: 'desired', count: 2 });
  told.pass(60_000);
  deepEqual(told.members(), ['i-1', 'i-3']);
  deepEqual(told.terminated, []);
});

test('the fullest zone gives first, and there the oldest', () => {
  const told = groupOf(4);
  told.tell({ type: 'desired', count: 2 });
  deepEqual(told.terminated, ['i-1', 'i-2']);
});

test('desired capacity stays between minimum and maximum', () => {
  const told = groupOf(99);
  equal(told.group.desired, 10);
  equal(told.members().length, 10);
});

test('missing capacity is asked for again, never in a tight loop', () => {
  const told = story({ replaceAfterMs: 0 });
  told.outage(true);
  told.tell({ type: 'desired', count: 1 });
  told.pass(10_000);
  equal(told.launched(), 0);
  told.outage(false);
  told.pass(1_000);
  deepEqual(told.members(), ['i-1']);
});

test('without capacity rebalancing a recommendation launches nothing', () => {
  const told = groupOf(2);
  told.tell({ type: 'at-risk', id: 'i-1' });
  told.pass(60_000);
  deepEqual(told.members(), ['i-1', 'i-2']);
});

test('with it the replacement comes first, and only then the one at risk goes', () => {
  const told = groupOf(2, { capacityRebalance: true });
  told.tell({ type: 'at-risk', id: 'i-1' });
  deepEqual(told.terminated, []);
  told.pass(0);
  deepEqual(told.terminated, ['i-1']);
  told.tell({ type: 'lost', id: 'i-1' });
  told.pass(60_000);
  deepEqual(told.members(), ['i-2', 'i-3']);
});

test('a full group may exceed its maximum by one while it rebalances, and no more', () => {
  const told = groupOf(10, { capacityRebalance: true, terminationHook: { name: 'h', heartbeatMs: 60_000 } });
  told.tell({ type: 'at-risk', id: 'i-1' });
  told.tell({ type: 'at-risk', id: 'i-2' });
  told.pass(0);
  equal(told.members().length, 11);
});

test('a termination hook is seen as the target state, and ends by an answer', () => {
  const told = groupOf(2, { terminationHook: { name: 'drain', heartbeatMs: 60_000 } });
  equal(targetState(told.group, 'i-1'), 'InService');
  told.tell({ type: 'desired', count: 1 });
  equal(targetState(told.group, 'i-1'), 'Terminated');
  deepEqual(told.terminated, []);
  told.tell({ type: 'hook.completed', id: 'i-1' });
  deepEqual(told.terminated, ['i-1']);
});

test('a hook that nobody answers ends by its heartbeat, which can be prolonged', () => {
  const told = groupOf(1, { terminationHook: { name: 'drain', heartbeatMs: 60_000 } });
  told.tell({ type: 'desired', count: 0 });
  told.pass(50_000);
  told.tell({ type: 'hook.heartbeat', id: 'i-1' });
  told.pass(59_999);
  deepEqual(told.terminated, []);
  told.pass(1);
  deepEqual(told.terminated, ['i-1']);
});

test('heartbeats do not prolong a hook for ever', () => {
  const told = groupOf(1, { terminationHook: { name: 'drain', heartbeatMs: 1_000 } });
  told.tell({ type: 'desired', count: 0 });
  for (let beat = 0; beat < 250; beat += 1) {
    told.tell({ type: 'hook.heartbeat', id: 'i-1' });
    told.pass(500);
  }
  deepEqual(told.terminated, ['i-1']);
});

test('an attached instance makes the group larger', () => {
  const told = groupOf(1);
  told.tell({ type: 'attached', id: 'i-9', zone: 'a' });
  equal(told.group.desired, 2);
  told.pass(60_000);
  deepEqual(told.members(), ['i-1', 'i-9']);
});
