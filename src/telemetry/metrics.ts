/**
 * Facts and gauges as Prometheus metrics, from the one table of facts. Counters start at zero, those with labels for every
 * value that is known, so that a rate is right from the first event; a gauge is asked for when somebody scrapes, so that
 * none can go stale.
 */
import { Counter, Gauge, Registry } from 'prom-client';
import {
  facts,
  gauges,
  totals,
  type Fact,
  type FactName,
  type FactShape,
  type GaugeName,
  type GaugeSample,
  type TotalSample,
} from '../node/facts.ts';

type Metrics = {
  count(fact: Fact): void;
  /** The Prometheus text format, version 0.0.4. */
  text(): Promise<string>;
};

export function openMetrics(options: {
  /** The names of the API's routes, which whoever answers them knows. */
  readonly routes: readonly string[];
  readonly samples: () => readonly (GaugeSample | TotalSample)[];
}): Metrics {
  const registry = new Registry();
  const counters = new Map<string, Counter>();
  const gaugeOf = new Map<string, Gauge>();
  const totalOf = new Map<string, Counter>();
  for (const name of Object.keys(facts) as FactName[]) {
    const shape = counterOf(name);
    // Several facts may count into one counter, each with its own labels' values.
    if (shape === null || counters.has(shape.name)) continue;
    const { help, labels = {} } = shape;
    const labelNames = Object.keys(labels);
    const counter = new Counter({ name: shape.name, help, labelNames, registers: [registry] });
    for (const known of combined({ ...labels, ...('route' in labels && { route: options.routes }) }))
      counter.inc(known, 0);
    counters.set(shape.name, counter);
  }
  for (const name of Object.keys(gauges) as GaugeName[]) {
    const { help, labels } = gauges[name];
    gaugeOf.set(name, new Gauge({ name, help, labelNames: [...labels], registers: [registry] }));
  }

  for (const name of Object.keys(totals) as TotalSample['name'][])
    totalOf.set(name, new Counter({ name, help: totals[name].help, registers: [registry] }));

  function count(fact: Fact): void {
    const shape = counterOf(fact.fact);
    if (shape === null) return;
    const labels = Object.keys(shape.labels ?? {}).map(
      (label) => [label, String(fact[label] ?? 'none')] as const,
    );
    const amount = shape.sum === undefined ? 1 : Number(fact[shape.sum] ?? 0);
    counters.get(shape.name)!.inc(Object.fromEntries(labels), amount);
  }

  async function text(): Promise<string> {
    for (const metric of [...gaugeOf.values(), ...totalOf.values()]) metric.reset();
    for (const read of options.samples()) {
      if ('labels' in read) gaugeOf.get(read.name)!.set({ ...read.labels }, read.value);
      else totalOf.get(read.name)!.inc(read.value);
    }
    return registry.metrics();
  }

  return { count, text };
}

const counterOf = (name: FactName) => {
  const shape: FactShape = facts[name];
  return shape.counter ?? null;
};

/** Every combination of the values that are known of each label. */
const combined = (labels: Readonly<Record<string, readonly string[]>>): readonly Record<string, string>[] =>
  Object.entries(labels).reduce<readonly Record<string, string>[]>(
    (begun, [label, values]) =>
      begun.flatMap((chosen) => values.map((value) => ({ ...chosen, [label]: value }))),
    [{}],
  );
