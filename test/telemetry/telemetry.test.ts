import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { facts, gauges, type Fact, type FactName, type GaugeSample } from '../../src/node/facts.ts';
import { openTelemetry } from '../../src/telemetry/telemetry.ts';
import type { LogLevel } from '../../src/telemetry/log.ts';

type Shape = {
  readonly level: LogLevel;
  readonly counter?: {
    readonly name: string;
    readonly help: string;
    readonly labels?: readonly string[];
    readonly sum?: string;
  };
};
const table: readonly (readonly [FactName, Shape])[] = Object.entries(facts) as [FactName, Shape][];

/** A fact with every field that its counter reads. */
const exampleOf = ([name, { counter }]: readonly [FactName, Shape]): Fact => ({
  fact: name,
  ...Object.fromEntries((counter?.labels ?? []).map((label) => [label, 'some'])),
  ...(counter?.sum === undefined ? {} : { [counter.sum]: 3 }),
});

function open(options: Partial<Parameters<typeof openTelemetry>[0]> = {}) {
  const lines: string[] = [];
  const telemetry = openTelemetry({
    level: 'debug',
    format: 'json',
    out: { write: (line) => lines.push(line) },
    samples: () => [],
    ...options,
  });
  return { ...telemetry, lines };
}

test('times are told in whole milliseconds', () => {
  const { report, lines } = open();
  report({ fact: 'drain.empty', afterMs: 60.60010499999953, ms: 765.667, share: 0.25 });
  const { afterMs, ms, share } = JSON.parse(lines[0]!) as Record<string, unknown>;
  deepEqual([afterMs, ms, share], [61, 766, 0.25]);
});

test('every fact is one JSON line with its level, its time, its name and its fields', () => {
  const { report, lines } = open();
  const before = Date.now();
  for (const entry of table) report({ ...exampleOf(entry), note: 'a "b"', none: null });
  equal(lines.length, table.length);
  for (const [at, [name, { level }]] of table.entries()) {
    match(lines[at]!, /^[^\n]*\n$/);
    const line = JSON.parse(lines[at]!) as Record<string, unknown>;
    deepEqual(
      [line['level'], line['fact'], line['note'], line['none'], line['pid']],
      [level, name, 'a "b"', null, undefined],
    );
    ok((line['time'] as number) >= before && (line['time'] as number) <= Date.now());
  }
});

test('a line below the level is not written, and still counted', async () => {
  const counted = table.find(([, shape]) => shape.counter !== undefined && shape.level !== 'error');
  const { report, metrics, lines } = open({ level: 'error' });
  for (const [name] of table) report({ fact: name });
  equal(lines.length, table.filter(([, { level }]) => level === 'error').length);
  if (counted !== undefined)
    match(await metrics(), new RegExp(`^${counted[1].counter!.name}\\b.* [1-9]`, 'm'));
});

test('a terminal gets text by itself, a pipe JSON', () => {
  const onTerminal: string[] = [];
  const out = { write: (line: string) => onTerminal.push(line), isTTY: true };
  open({ format: 'auto', out }).report({ fact: 'node.started', version: '1.2.3', model: 'a b', port: 8000 });
  match(
    onTerminal[0]!,
    /^\d\d:\d\d:\d\d\.\d{3} info {2}node\.started version=1\.2\.3 model="a b" port=8000\n$/,
  );
  open({ format: 'auto', out }).report({ fact: 'node.started', why: '\u009b2J\u202e\n\u007f' });
  match(onTerminal[1]!, /why="\\u009b2J\\u202e\\n\\u007f"\n$/);
  const { report, lines } = open({ format: 'auto' });
  report({ fact: 'node.started' });
  equal((JSON.parse(lines[0]!) as { fact: string }).fact, 'node.started');
});

test('every counter of the table exists from the start, counts its fact and keeps exactly its labels', async () => {
  for (const entry of table) {
    const { counter } = entry[1];
    if (counter === undefined) continue;
    const { report, metrics } = open();
    match(await metrics(), new RegExp(`^# TYPE ${counter.name} counter$`, 'm'));
    report(exampleOf(entry));
    report(exampleOf(entry));
    const labels = (counter.labels ?? []).map((label) => `${label}="some"`).join(',');
    const line = `${counter.name}${labels === '' ? '' : `{${labels}}`} ${counter.sum === undefined ? 2 : 6}`;
    ok((await metrics()).split('\n').includes(line), `no line ${line}`);
  }
});

test('facts that share a counter agree on its help, labels and sum', () => {
  const first = new Map<string, Shape['counter']>();
  for (const [, { counter }] of table) {
    if (counter === undefined) continue;
    deepEqual(counter, first.get(counter.name) ?? counter);
    first.set(counter.name, counter);
  }
});

test('a gauge is read at the scrape, and one that nobody reports any more is gone', async () => {
  const names = Object.keys(gauges) as (keyof typeof gauges)[];
  let samples: readonly GaugeSample[] = names.map((name) => ({
    name,
    labels: Object.fromEntries(gauges[name].labels.map((label) => [label, 'some'])),
    value: 7,
  }));
  const { metrics } = open({ samples: () => samples });
  const text = await metrics();
  for (const name of names) match(text, new RegExp(`^${name}(\\{.*="some"\\})? 7$`, 'm'));
  samples = [];
  equal(/ 7$/m.test(await metrics()), false);
});
