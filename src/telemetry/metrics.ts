/**
 * Facts and gauges as Prometheus metrics, from the tables of them. Counters and histograms start at zero, those with labels
 * for every value that is known, so that a rate is right from the first event; a gauge is asked for when somebody scrapes,
 * so that none can go stale.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
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
import { histograms, type HistogramShape } from '../node/histograms.ts';

type Metrics = {
  count(fact: Fact): void;
  /** The Prometheus text format, version 0.0.4. */
  text(): Promise<string>;
};

export function openMetrics(options: {
  /** The names of the API's routes, which whoever answers them knows. */
  readonly routes: readonly string[];
  /** Those that the cluster serves by now. */
  readonly models: () => readonly string[];
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

  const times = openTimes(registry, options);

  function count(fact: Fact): void {
    times.count(fact);
    const shape = counterOf(fact.fact);
    if (shape === null) return;
    const amount = shape.sum === undefined ? 1 : Number(fact[shape.sum] ?? 0);
    counters.get(shape.name)!.inc(labelsIn(fact, shape.labels ?? {}), amount);
  }

  async function text(): Promise<string> {
    times.begin();
    for (const metric of [...gaugeOf.values(), ...totalOf.values()]) {
      metric.reset();
      // Without labels that leaves a 0, and what could not be read is none.
      metric.remove({});
    }
    for (const read of options.samples()) {
      if ('labels' in read) gaugeOf.get(read.name)!.set({ ...read.labels }, read.value);
      else totalOf.get(read.name)!.inc(read.value);
    }
    return registry.metrics();
  }

  return { count, text };
}

type Options = Parameters<typeof openMetrics>[0];

/** What facts tell of how long things took. */
function openTimes(registry: Registry, { routes, models }: Pick<Options, 'routes' | 'models'>) {
  const all = Object.entries<HistogramShape>(histograms).map(([name, shape]) => {
    const { help, labels, buckets } = shape;
    const labelNames = Object.keys(labels);
    const histogram = new Histogram({ name, help, labelNames, buckets: [...buckets], registers: [registry] });
    for (const known of combined({ ...labels, ...('route' in labels && { route: routes }) }))
      histogram.zero(known);
    return { shape, histogram };
  });
  const timesOf = Map.groupBy(all, ({ shape }) => shape.fact);
  const known = new Set<string>();

  function begin(model: string): void {
    if (known.has(model)) return;
    known.add(model);
    for (const { shape, histogram } of all) if ('model' in shape.labels) histogram.zero({ model });
  }

  function count(fact: Fact): void {
    for (const { shape, histogram } of timesOf.get(fact.fact) ?? []) {
      const ms = fact[shape.of];
      const counts = shape.when === undefined || fact[shape.when] === true;
      if (!counts || typeof ms !== 'number') continue;
      const labels = labelsIn(fact, shape.labels);
      if (labels['model'] !== undefined) begin(labels['model']);
      histogram.observe(labels, ms / 1_000);
    }
  }

  return { count, begin: (): void => models().forEach(begin) };
}

function labelsIn(fact: Fact, labels: Readonly<Record<string, unknown>>): Record<string, string> {
  const found: Record<string, string> = {};
  for (const label in labels) found[label] = String(fact[label] ?? 'none');
  return found;
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
