/**
 * What this process takes of its machine, by the names that Prometheus has for it ("Writing client libraries", Process
 * metrics): dashboards and alerts for any program know them.
 */
import { readdirSync, readFileSync } from 'node:fs';
import type { GaugeSample, TotalSample } from '../node/facts.ts';

const startedAt = (performance.timeOrigin / 1_000).toFixed(3);

export function vitals(): readonly (GaugeSample | TotalSample)[] {
  const { user, system } = process.cpuUsage();
  const gauge = (name: GaugeSample['name'], value: number): GaugeSample => ({ name, labels: {}, value });
  return [
    { name: 'process_cpu_seconds_total', value: (user + system) / 1e6 },
    gauge('process_resident_memory_bytes', process.memoryUsage.rss()),
    gauge('process_start_time_seconds', Number(startedAt)),
    ...descriptors().map(([name, value]) => gauge(name, value)),
  ];
}

/** Where proc(5) tells them, which is on Linux. */
function descriptors(): readonly (readonly [GaugeSample['name'], number])[] {
  try {
    const [, limit = ''] = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
    const open = readdirSync('/proc/self/fd').length;
    return [
      ['process_open_fds', open],
      ['process_max_fds', limit === '' ? Infinity : Number(limit)],
    ];
  } catch {
    return []; // No such files, as it is elsewhere; or no descriptor is left to read them by.
  }
}
