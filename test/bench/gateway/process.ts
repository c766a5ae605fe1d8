/** A process as the kernel counts it, with all of its threads. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** USER_HZ of Linux: /proc counts CPU time in hundredths of a second. */
const ticksPerSecond = 100;

/** Gateways have the first core, everything else has the others. */
const ofGateways = '0';
const ofOthers = `1-${availableParallelism() - 1}`;

export const pinGateway = (pid: number): void => pin(pid, ofGateways);
export const pinOther = (pid: number): void => pin(pid, ofOthers);

/** What it starts later inherits it. */
function pin(pid: number, cores: string): void {
  execFileSync('taskset', ['-a', '-c', '-p', cores, String(pid)], { stdio: ['ignore', 'ignore', 'inherit'] });
}

export const cpuUs = (pids: readonly number[]): number => sum(pids.map(cpuUsOf));
export const rssMb = (pids: readonly number[]): number => sum(pids.map(rssMbOf));

/** utime and stime, in microseconds. */
function cpuUsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1e6) / ticksPerSecond;
}

function rssMbOf(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return (Number(line?.[1]) * 1_024) / 1e6;
}

/** A process and those that it started. */
export function family(pid: number): readonly number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
  return [pid, ...children.flatMap((child) => family(Number(child)))];
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
