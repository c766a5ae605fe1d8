/** The bench finds nothing wrong in run after run; these show that it would. */
import { deepEqual, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { expectedContinuation } from '../../../src/engines/simulated/model.ts';
import { compare } from './accuracy.ts';
import { brokenBounds } from './bounds.ts';
import { Chance } from './chance.ts';
import { nothingHeard, type Heard } from './heard.ts';
import { plainQuestion } from './plain.ts';
import { reportOf, type Findings } from './report.ts';
import type { Stream } from './traffic.ts';

const expected = expectedContinuation({ promptIds: [5, 6, 7], count: 60 });
const right = { wrong: 0, doubled: 0 };

test('what is as it had to be is right, also as far as it goes', () => {
  deepEqual(compare(expected, expected), right);
  deepEqual(compare(expected.slice(0, 20), expected.slice(0, 20)), right);
});

test('tokens that are said again are doubled, wherever the seam lies', () => {
  for (const seam of [5, 30, 58])
    for (const again of [1, 3, 5])
      deepEqual(compare([...expected.slice(0, seam), ...expected.slice(seam - again)], expected), {
        wrong: 0,
        doubled: again,
      });
});

test('tokens that are missing are wrong, in the middle and at the end', () => {
  deepEqual(compare([...expected.slice(0, 20), ...expected.slice(23)], expected), { wrong: 3, doubled: 0 });
  deepEqual(compare(expected.slice(0, 57), expected), { wrong: 3, doubled: 0 });
});

test('a token that does not belong there is wrong, once', () => {
  const foreign = expected.with(30, expected[30]! + 1);
  deepEqual(compare(foreign, expected), { wrong: 1, doubled: 0 });
});

const fine: Stream = {
  ...{ question: 'plain', id: 'one', cut: null, isDeclared: false, resumed: 0, wrong: 0, doubled: 0 },
  ...{ longestMs: 900, usualMs: 30 },
};
const findings: Findings = {
  ...{ fault: 'kill', suite: 'plain', times: 1, leaves: [] },
  told: [1, 2, 3, 4, 5].map((n) => ({ ...fine, id: `${n}` })),
  facts: [{ fact: 'stream.moved', request: '1', tokens: 7 }],
};
const brokenIn = (found: Findings): readonly string[] => brokenBounds(reportOf(found), found);

test('a run in which everything holds breaks no bound, and each harm breaks one', () => {
  deepEqual(brokenIn(findings), []);
  const harms: readonly Partial<Stream>[] = [
    { cut: 'reset' },
    { wrong: 1 },
    { doubled: 1 },
    { longestMs: 4_000 },
  ];
  for (const harm of harms)
    ok(
      brokenIn({ ...findings, told: [{ ...findings.told[0]!, ...harm }, ...findings.told.slice(1)] }).length >
        0,
    );
  ok(brokenIn({ ...findings, times: 2 }).length > 0, 'too few streams');
  ok(brokenIn({ ...findings, facts: [] }).length > 0, 'nobody was hit');
  ok(brokenIn({ ...findings, fault: 'notice' }).length > 0, 'nobody left in time');
  for (const fault of ['entry', 'pair'] as const) {
    deepEqual(brokenIn({ ...findings, fault }), []);
    const told = findings.told.map((stream) => ({ ...stream, longestMs: 4_000 }));
    ok(brokenIn({ ...findings, fault, told }).includes('99 of 100 stalls are below 3,000 ms'), fault);
  }
  const wait = { fact: 'stream.unanswered', request: '1', tokens: 0, member: 'i-2' } as const;
  deepEqual(brokenIn({ ...findings, facts: [...findings.facts, wait, { ...wait, member: 'i-3' }] }), []);
  const choices = [0, 1].map((choice) => ({ ...wait, choice }));
  deepEqual(brokenIn({ ...findings, facts: [...findings.facts, ...choices] }), []);
  const twice = brokenIn({ ...findings, facts: [...findings.facts, wait, wait] });
  deepEqual(twice, ['no request waits for a silent node twice']);
});

test('a stream that waits and that nobody calls moved is counted among all, and may not wait for ever', () => {
  const waiting = { ...fine, id: 'unmoved', longestMs: 14_030 };
  const found = { ...findings, told: [...findings.told, waiting] };
  const { addedStall, anyStall } = reportOf(found);
  deepEqual([addedStall?.max, anyStall?.max, anyStall?.p50], [870, 14_000, 870]);
  deepEqual(brokenIn(found), []);
  const late = { ...findings, told: [...findings.told, { ...waiting, longestMs: 15_031 }] };
  for (const fault of ['kill', 'freeze', 'drop', 'entry', 'pair'] as const)
    deepEqual(brokenIn({ ...late, fault }), ['no stream waits 15,000 ms']);
  const again = { fact: 'stream.moved', request: 'unmoved', tokens: 0, way: 'replay' } as const;
  const replayed = { ...late, suite: 'mixed', facts: [...late.facts, again] } as const;
  deepEqual(brokenIn(replayed), []);
  deepEqual(reportOf(replayed).replayStall?.max, 15_001);
  deepEqual(brokenIn({ ...replayed, suite: 'plain' }).length, 2, 'plain ones are not asked again');
});

test('what its head has not called exact may break in the mixed suite only, and is counted', () => {
  const told = [{ ...findings.told[0]!, cut: 'error event', isDeclared: true }, ...findings.told.slice(1)];
  deepEqual(brokenIn({ ...findings, told, suite: 'mixed' }), []);
  deepEqual(reportOf({ ...findings, told, suite: 'mixed' }).declared, 1);
  deepEqual(brokenIn({ ...findings, told }), ['no stream is cut']);
});

test('right ids with another text are wrong', () => {
  const question = plainQuestion(new Chance(1));
  const tokens = question.body['max_tokens'] as number;
  const promptIds = [5, 6, 7];
  const ids = expectedContinuation({ promptIds, count: tokens });
  const choice = { reasoning: '', calls: [], likely: [], finishes: ['length'], ids };
  const heard = (text: string): Heard => ({
    ...nothingHeard(),
    promptIds,
    choices: new Map([[0, { ...choice, text }]]),
  });
  ok(question.judge(heard('something else'), true).wrong > 0);
});

test('what was asked again from its beginning is told apart, where its entry node was lost too', () => {
  const told = [1, 2, 3].map((n) => ({ ...fine, id: `${n}`, resumed: 1, longestMs: n * 1_000 }));
  const resumed = ['derender replay', 'ids', 'derender'].map(
    (way, i) => ({ fact: 'stream.resumed', request: `${i + 1}`, tokens: 0, way }) as const,
  );
  const facts = [...resumed, { fact: 'stream.moved', request: '3', tokens: 0, way: 'replay' } as const];
  const report = reportOf({ ...findings, suite: 'mixed', told, facts });
  deepEqual([report.addedStall?.max, report.replayStall?.max], [1_970, 2_970]);
});
