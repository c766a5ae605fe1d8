/** The bench finds nothing wrong in run after run; these show that it would. */
import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { brokenBounds, unmeasuredBounds, type Beside, type Report } from './bounds.ts';

const times = { p50: 20, p99: 80, max: 90 };
const report: Report = {
  nodes: 32,
  ours: {
    ...{ kill: times, hostOff: times, recordChange: times, partitionHealed: 2_000 },
    falseDead: { 'stop0.6': 0, stop4: 0, stop12: 0, hogs: 0 },
    cost: { bytesPerSecond: 2_000, corePercent: 0.4 },
  },
  serf: null,
};
const beside: Beside = { bystandersDead: 0, unsettled: 0, partitionBit: true };
const none = { p50: NaN, p99: NaN, max: NaN };

test('a run in which everything holds breaks no bound, and each harm breaks one', () => {
  deepEqual(brokenBounds(report, beside), []);
  const { ours } = report;
  const harms: readonly (readonly [Partial<Report['ours']>, string])[] = [
    [{ kill: { ...times, p99: 101 } }, 'a killed process is known to all within 100 ms'],
    [{ kill: none }, 'a killed process is known to all within 100 ms'],
    [{ hostOff: { ...times, p99: 1_001 } }, 'a dead host is known to all within 1,000 ms'],
    [{ recordChange: { p50: 1, p99: 151 } }, 'a changed record is known to all within 150 ms'],
    [{ falseDead: { ...ours.falseDead, stop12: 1 } }, 'nobody that lives is held dead'],
    [{ partitionHealed: 40_000 }, 'a partition is healed within 3,000 ms'],
  ];
  for (const [harm, bound] of harms)
    deepEqual(brokenBounds({ ...report, ours: { ...ours, ...harm } }, beside), [bound]);
});

test('what is no figure breaks a bound too: a bystander held dead, views that stay apart, a cut without effect', () => {
  const broken = (harm: Partial<Beside>): readonly string[] => brokenBounds(report, { ...beside, ...harm });
  deepEqual(broken({ bystandersDead: 1 }), ['nobody is held dead for the loss of another']);
  deepEqual(broken({ unsettled: 1 }), ['all see one another again after each loss']);
  deepEqual(broken({ partitionBit: false }), ['the halves of a cut network lose sight of each other']);
});

test('what could not be measured breaks nothing, and is told', () => {
  const bare: Report = { ...report, ours: { ...report.ours, hostOff: null, partitionHealed: null } };
  const uncut = { ...beside, partitionBit: null };
  deepEqual(brokenBounds(bare, uncut), []);
  deepEqual(unmeasuredBounds(bare, uncut), [
    'a dead host is known to all within 1,000 ms',
    'the halves of a cut network lose sight of each other',
    'a partition is healed within 3,000 ms',
  ]);
  deepEqual(unmeasuredBounds(report, beside), []);
});
