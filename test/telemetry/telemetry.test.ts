import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { format } from 'prettier';
import { modelPaths } from '../../src/gateway/surface.ts';
import {
  facts,
  gauges,
  totals,
  type Fact,
  type FactName,
  type FactShape,
  type GaugeSample,
} from '../../src/node/facts.ts';
import { histograms, type HistogramShape } from '../../src/node/histograms.ts';
import { withMetricsTable } from '../../src/telemetry/readme.ts';
import { openTelemetry } from '../../src/telemetry/telemetry.ts';

const table: readonly (readonly [FactName, FactShape])[] = Object.entries(facts) as [FactName, FactShape][];

/** A fact with every field that its counter reads. */
const exampleOf = ([name, { counter }]: readonly [FactName, FactShape]): Fact => ({
  fact: name,
  ...Object.fromEntries(Object.keys(counter?.labels ?? {}).map((label) => [label, 'some'])),
  ...(counter?.sum === undefined ? {} : { [counter.sum]: 3 }),
});

function open(options: Partial<Parameters<typeof openTelemetry>[0]> = {}) {
  const lines: string[] = [];
  const telemetry = openTelemetry({
    level: 'debug',
    format: 'json',
    out: { write: (line) => lines.push(line) },
    routes: modelPaths,
    models: () => [],
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
    const labels = Object.keys(counter.labels ?? {})
      .map((label) => `${label}="some"`)
      .join(',');
    const line = `${counter.name}${labels === '' ? '' : `{${labels}}`} ${counter.sum === undefined ? 2 : 6}`;
    ok((await metrics()).split('\n').includes(line), `no line ${line}`);
  }
});

test('facts that share a counter agree on its help, labels and sum', () => {
  const first = new Map<string, FactShape['counter']>();
  for (const [, { counter }] of table) {
    if (counter === undefined) continue;
    deepEqual(counter, first.get(counter.name) ?? counter);
    first.set(counter.name, counter);
  }
});

test('a gauge is read at the scrape, and what nobody reports any more is gone', async () => {
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
  const after = await metrics();
  // None of them is 0 either: that would be a reading.
  for (const name of [...names, ...Object.keys(totals)])
    ok(!new RegExp(`^${name}\\b`, 'm').test(after), name);
});

test('a counter with labels stands at zero from the start for every value that is known', async () => {
  const lines = (await open().metrics()).split('\n');
  for (const series of [
    'synkti_streams_failed_total{cause="no-place"}',
    'synkti_streams_moved_total{cause="drain"}',
    'synkti_streams_handed_over_total{why="taken"}',
    'synkti_interruptions_total{action="terminate"}',
    'synkti_drains_total{reason="signal"}',
    'synkti_engine_failures_total{why="wedged"}',
    'synkti_requests_limited_total{what="tokens"}',
    'synkti_requests_unplaced_total{why="late"}',
    'synkti_requests_cut_total{why="stuck"}',
    'synkti_requests_total{route="/v1/chat/completions",status="200"}',
    'synkti_requests_total{route="/v1/embeddings",status="503"}',
  ])
    ok(lines.includes(`${series} 0`), series);
});

const times = Object.entries<HistogramShape>(histograms);
const linesOf = async ({ metrics }: Pick<ReturnType<typeof open>, 'metrics'>): Promise<readonly string[]> =>
  (await metrics()).split('\n');

/** A fact that counts, of so many milliseconds. */
const lastingOf = ({ fact, of, when, labels }: HistogramShape, ms: number): Fact => ({
  ...{ fact, [of]: ms, ...(when === undefined ? {} : { [when]: true }) },
  ...Object.fromEntries(Object.keys(labels).map((label) => [label, 'some'])),
});

test('every histogram counts its fact in seconds, to the fraction of a millisecond, and keeps exactly its labels', async () => {
  for (const [name, shape] of times) {
    const telemetry = open();
    const [first = 0, second = 0] = shape.buckets;
    telemetry.report(lastingOf(shape, first * 1_000 + 0.4));
    telemetry.report(lastingOf(shape, first * 1_000));
    telemetry.report(lastingOf(shape, 1_000_000));
    const lines = await linesOf(telemetry);
    const labels = Object.keys(shape.labels)
      .map((label) => `${label}="some"`)
      .join(',');
    for (const line of [
      `# TYPE ${name} histogram`,
      `${name}_bucket{le="${first}",${labels}} 1`,
      `${name}_bucket{le="${second}",${labels}} 2`,
      `${name}_bucket{le="+Inf",${labels}} 3`,
      `${name}_count{${labels}} 3`,
    ])
      ok(lines.includes(line), line);
  }
});

test('a fact that does not say how long it took, or is no case of it, is not counted', async () => {
  for (const [name, shape] of times) {
    const telemetry = open();
    const { [shape.of]: _, ...silent } = lastingOf(shape, 5);
    telemetry.report(silent as Fact);
    if (shape.when !== undefined) telemetry.report({ ...lastingOf(shape, 5), [shape.when]: false });
    equal(
      (await linesOf(telemetry)).find((line) => line.startsWith(`${name}_count{`) && !line.endsWith(' 0')),
      undefined,
    );
  }
});

test('a histogram stands at zero for every value that is known, and for a model from when the cluster serves it', async () => {
  const models = ['a'];
  const telemetry = open({ models: () => models });
  const timed = (model: string) => telemetry.report({ fact: 'stream.begun', model, ttftMs: 30 });
  const count = async (series: string): Promise<string | undefined> =>
    (await linesOf(telemetry)).find((line) => line.startsWith(`${series} `))?.split(' ')[1];
  const ofModel = (model: string): string => `synkti_time_to_first_token_seconds_count{model="${model}"}`;
  equal(await count('synkti_move_stall_seconds_count{cause="silence"}'), '0');
  equal(await count('synkti_request_duration_seconds_count{route="/v1/embeddings"}'), '0');
  deepEqual([await count(ofModel('a')), await count(ofModel('b'))], ['0', undefined]);
  timed('a');
  // Before anybody scrapes.
  timed('b');
  models.push('b', 'c');
  deepEqual(await Promise.all(['a', 'b', 'c'].map((model) => count(ofModel(model)))), ['1', '1', '0']);
  equal(await count('synkti_admission_wait_seconds_count{model="b"}'), '0');
});

/** Labels whose values nobody knows beforehand: duties are named by whoever takes one, models by whoever serves them. */
const unknownBefore = new Set(['duty', 'route', 'model']);

test('of every label the values are known, but for those that others name', () => {
  const labelled = [...table.map(([name, { counter }]) => [name, counter] as const), ...times];
  for (const [name, shape] of labelled)
    for (const [label, values] of Object.entries(shape?.labels ?? {}))
      equal(values.length === 0, unknownBefore.has(label), `${name} ${label}`);
});

/** What `promtool check metrics` complains of (prometheus/util/promlint). */
test('names and texts are as Prometheus lints them', async () => {
  const units = /_(milliseconds|ms|minutes|hours|kilobytes|mb|percent)(_|$)/;
  const counters = table.flatMap(([, { counter }]) => (counter === undefined ? [] : [counter.name]));
  for (const name of [...counters, ...Object.keys(totals)]) match(name, /^[a-z][a-z_]*[a-z]_total$/);
  for (const name of Object.keys(gauges)) match(name, /^[a-z][a-z_]*(?<!_total|_count|_sum|_bucket)$/);
  for (const [name] of times) match(name, /^[a-z][a-z_]*_seconds$/);
  const text = await open().metrics();
  const told = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)];
  equal(new Set(told.map(([, name]) => name)).size, told.length, 'each once');
  for (const [, name = ''] of told) {
    ok(!units.test(name), `${name}: not in a base unit`);
    match(text, new RegExp(`^# HELP ${name} [A-Z].*\\.$`, 'm'));
  }
});

test("the README's table of metrics is current, and formatted as prettier wants it", async () => {
  const fresh = withMetricsTable('<!-- metrics -->\n<!-- /metrics -->\n');
  equal(await format(fresh, { parser: 'markdown', printWidth: 110 }), fresh);
  if (!existsSync('README.md')) return;
  const readme = readFileSync('README.md', 'utf8');
  equal(readme, withMetricsTable(readme), 'run: npm run readme');
});
