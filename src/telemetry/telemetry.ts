/** What the node reports becomes a log line and a count, in this one place. */
import type { GaugeSample, Report } from '../node/facts.ts';
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
  readonly gauges: () => readonly GaugeSample[];
}): Telemetry {
  const log = openLog(options);
  const metrics = openMetrics(options.gauges);
  return {
    report: (fact) => {
      metrics.count(fact);
      log(fact);
    },
    metrics: metrics.text,
  };
}
