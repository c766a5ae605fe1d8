/** What the node reports becomes a log line and a count, in this one place. */
import type { Fact, GaugeSample, Report, TotalSample } from '../node/facts.ts';
import { openLog, type LogLevel, type LogOutput } from './log.ts';
import { openMetrics } from './metrics.ts';

export type Telemetry = {
  readonly report: Report;
  /** What GET /metrics answers. */
  metrics(): Promise<string>;
};

export function openTelemetry(options: {
  readonly level: LogLevel;
  readonly format: 'auto' | 'json' | 'text';
  readonly out: LogOutput;
  readonly routes: readonly string[];
  readonly models: () => readonly string[];
  readonly samples: () => readonly (GaugeSample | TotalSample)[];
}): Telemetry {
  const log = openLog(options);
  const metrics = openMetrics(options);
  return {
    report: (exact) => {
      metrics.count(exact);
      log(rounded(exact));
    },
    metrics: metrics.text,
  };
}

/** Machines reckon in fractions of a millisecond, which say nothing to a reader of the log. */
function rounded(fact: Fact): Fact {
  const fields: Record<string, Fact[string]> = {};
  for (const name in fact) {
    const value = fact[name]!;
    fields[name] = typeof value === 'number' && /(^m|M)s$/.test(name) ? Math.round(value) : value;
  }
  return fields as Fact;
}
