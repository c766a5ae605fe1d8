import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { clear, noStandingFaults, order, standing, strike } from '../../src/localcloud/faults.ts';
import type { FaultRule } from '../../src/localcloud/faults.ts';
import { instant } from '../../src/std/time.ts';

const rule: FaultRule = { service: 'ec2', operation: '*', instanceId: null, delayMs: 0, fail: 503 };
const call = { service: 'ec2', operation: 'DescribeInstances', instanceId: 'i-1' };
const at = instant(0);

test('a fault hits as many calls as it was ordered for', () => {
  const table = noStandingFaults();
  order(table, { rule, times: 2, forMs: null }, at);
  deepEqual(
    [1, 2, 3].map(() => strike(table, call, at)?.fail),
    [503, 503, undefined],
  );
});

test('a fault ends when its time is over', () => {
  const table = noStandingFaults();
  order(table, { rule, times: null, forMs: 1_000 }, at);
  equal(strike(table, call, instant(999))?.fail, 503);
  equal(strike(table, call, instant(1_000)), null);
  deepEqual(standing(table, instant(1_000)), []);
});

test('service, operation and instance narrow what is hit', () => {
  const table = noStandingFaults();
  order(
    table,
    { rule: { ...rule, operation: 'Describe*', instanceId: 'i-1' }, times: null, forMs: null },
    at,
  );
  equal(strike(table, { ...call, operation: 'CreateTags' }, at), null);
  equal(strike(table, { ...call, service: 's3' }, at), null);
  equal(strike(table, { ...call, instanceId: 'i-2' }, at), null);
  equal(strike(table, { ...call, instanceId: null }, at), null);
  equal(strike(table, call, at)?.fail, 503);
});

test('delays add up and the oldest failure decides', () => {
  const table = noStandingFaults();
  for (const given of [{ delayMs: 10, fail: null }, { delayMs: 20, fail: 'drop' }, { fail: 500 }] as const)
    order(table, { rule: { ...rule, ...given }, times: null, forMs: null }, at);
  deepEqual(strike(table, call, at), { delayMs: 30, fail: 'drop' });
});

test('faults are cleared one by one or all together', () => {
  const table = noStandingFaults();
  const first = order(table, { rule, times: null, forMs: null }, at);
  order(table, { rule: { ...rule, fail: 500 }, times: null, forMs: null }, at);
  equal(clear(table, first), true);
  equal(clear(table, first), false);
  equal(strike(table, call, at)?.fail, 500);
  clear(table, null);
  equal(strike(table, call, at), null);
});

test('there is a bound on faults that stand at once', () => {
  const table = noStandingFaults();
  for (let n = 0; n < 150; n += 1) order(table, { rule, times: null, forMs: null }, at);
  equal(standing(table, at).length, 100);
});
