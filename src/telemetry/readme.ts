/** The README's table of metrics, made from the tables of facts, histograms, gauges and totals. */
import { facts, gauges, totals, type FactShape } from '../node/facts.ts';
import { histograms } from '../node/histograms.ts';
import { code, withTable } from '../std/markdown.ts';

const head = ['metric', 'type', 'labels', 'meaning'];

export const withMetricsTable = (readme: string): string => withTable(readme, 'metrics', [head, ...rows()]);

function rows(): readonly (readonly string[])[] {
  const row = (
    name: string,
    type: string,
    shape: { readonly help: string; readonly labels?: readonly string[] },
  ) =>
    [
      name,
      [code(name), type, (shape.labels ?? []).map(code).join(' '), shape.help.replace(/\.$/, '')],
    ] as const;
  const counters = Object.values<FactShape>(facts).flatMap(({ counter }) =>
    counter === undefined
      ? []
      : [row(counter.name, 'counter', { ...counter, labels: Object.keys(counter.labels ?? {}) })],
  );
  const all = new Map([
    ...counters,
    ...Object.entries(histograms).map(([name, { help, labels }]) =>
      row(name, 'histogram', { help, labels: Object.keys(labels) }),
    ),
    ...Object.entries(gauges).map(([name, shape]) => row(name, 'gauge', shape)),
    ...Object.entries(totals).map(([name, shape]) => row(name, 'counter', shape)),
  ]);
  return [...all.keys()].sort().map((name) => all.get(name)!);
}
