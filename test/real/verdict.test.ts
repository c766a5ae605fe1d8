/** What is said of a run over real engines: its figures, and every bound that does not hold. */
import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import type { Told } from './survival.ts';
import { verdict } from './verdict.ts';
import { rounds } from './wounds.ts';

const [round] = rounds.random;
const well: Told = {
  ...{ question: 'chat', round: round!, cut: null, wrong: 0, how: null, resumed: 0 },
  ways: ['ids'],
};
const thirty = Array.from({ length: 30 }, () => well);

test('a run that shows everything breaks no bound', () => {
  const random = [...thirty, { ...well, resumed: 2, ways: [] }];
  const script = [...thirty, { ...well, ways: ['derender'] }, { ...well, ways: ['ids', 'replay'] }];
  const results = [
    { told: random, killed: 3, left: [] },
    { told: script, killed: 4, left: [] },
  ];
  deepEqual(verdict(['random', 'script'], results), {
    report: {
      ...{ engine: 'vllm', streams: 63, killed: 7, cut: 0, wrongTokens: 0 },
      byWay: {
        ids: { tried: 61, equal: 61 },
        derender: { tried: 1, equal: 1 },
        replay: { tried: 1, equal: 1 },
      },
      resumed: 1,
    },
    broken: [],
  });
});

test('what is cut, differs, was not tried or is left behind is named', () => {
  const told = [
    { ...well, cut: 'it broke off', resumed: 1 },
    { ...well, how: 'usage' },
    { ...well, wrong: 3 },
  ];
  const { report, broken } = verdict(
    ['random', 'script'],
    [{ told, killed: 1, left: ['process 7 VLLM::Worker'] }],
  );
  deepEqual([report.cut, report.wrongTokens, report.resumed], [1, 3, 0]);
  deepEqual(report.byWay.ids, { tried: 3, equal: 0 });
  deepEqual(broken, [
    'no stream is cut',
    'every stream is as undisturbed',
    'some streams resume',
    'some streams go on by derender',
    'some streams go on by replay',
    '60 streams',
    '6 kills',
    'process 7 VLLM::Worker',
  ]);
});
