import { deepEqual, equal, ok } from 'node:assert/strict';
import { open } from 'node:fs/promises';
import { test } from 'node:test';
import { vitals } from '../../src/os/vitals.ts';

const valueOf = (wanted: string): number => vitals().find(({ name }) => name === wanted)!.value;

test('memory, CPU time and start are told in bytes and seconds', () => {
  const rss = process.memoryUsage.rss();
  ok(Math.abs(valueOf('process_resident_memory_bytes') - rss) < rss / 2);
  const { user, system } = process.cpuUsage();
  const cpu = valueOf('process_cpu_seconds_total');
  ok(cpu >= (user + system) / 1e6 && cpu < (user + system) / 1e6 + 5);
  const age = Date.now() / 1_000 - valueOf('process_start_time_seconds');
  ok(Math.abs(age - process.uptime()) < 5, `${age} ${process.uptime()}`);
});

test('open files are counted against their limit', { skip: process.platform !== 'linux' }, async () => {
  const before = valueOf('process_open_fds');
  const files = await Promise.all(Array.from({ length: 5 }, () => open('/dev/null')));
  equal(valueOf('process_open_fds'), before + 5);
  await Promise.all(files.map((file) => file.close()));
  ok(valueOf('process_max_fds') > before);
  deepEqual(new Set(vitals().map(({ name }) => name)).size, 5);
});
