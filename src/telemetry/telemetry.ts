/** What the node reports becomes a log line and a count, in this one place. */
import type { GaugeSample, Report, TotalSample } from '../node/facts.ts';
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
    report: (fact) => {
      metrics.count(fact);
      log(fact);
    },
    metrics: metrics.text,
  };
}
