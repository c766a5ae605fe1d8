/**
 * `npm run bench:footprint`: what the executable costs before it does anything: its size, the time to say its version,
 * and an idle node's memory and CPU time, in a cluster of three of them. Numbers to read, not a test: they vary.
 */
import { execFileSync, spawn } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { freePort } from '../../src/cli/dev/ports.ts';
import { runScript, type Script } from '../script/script.ts';

const runs = 21;
const settleMs = 5_000;
const idleMs = 20_000;
/** USER_HZ of Linux: /proc counts CPU time in hundredths of a second. */
const ticksPerSecond = 100;

const file = resolve('dist/synkti');
const script: Script<Record<never, never>> = {
  name: 'bench:footprint',
  about:
    'What the executable costs before it does anything. One line of JSON on stdout; nothing is held to a bound.',
  flags: {},
  example: 'npm run -s bench:footprint',
};

/** Means over the three nodes. */
async function idleNode(): Promise<{ rssMegabytes: number; corePercent: number }> {
  const dir = await mkdtemp(join(tmpdir(), 'synkti-footprint-'));
  const args = ['dev', '--json', '--base-port', `${await freePort(3)}`, '--dir', dir];
  const dev = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const pids = await readyPids(dev.stdout);
    await pause(settleMs);
    const before = pids.map(cpuSeconds);
    await pause(idleMs);
    const spent = pids.map((pid, i) => cpuSeconds(pid) - before[i]!);
    const mean = (values: readonly number[]): number => values.reduce((sum, v) => sum + v, 0) / values.length;
    return {
      rssMegabytes: Math.round(mean(pids.map(rssMegabytes))),
      corePercent: Number(((mean(spent) / (idleMs / 1_000)) * 100).toFixed(2)),
    };
  } finally {
    const ended = new Promise((done) => dev.once('exit', done));
    dev.kill('SIGINT');
    await ended;
    await rm(dir, { recursive: true, force: true });
  }
}

async function readyPids(out: NodeJS.ReadableStream): Promise<readonly number[]> {
  for await (const line of createInterface({ input: out })) {
    const { ready } = JSON.parse(line) as { ready?: { nodes: { pid: number }[] } };
    if (ready === undefined) continue;
    out.resume();
    return ready.nodes.map(({ pid }) => pid);
  }
  throw new Error('the cluster ended before it was ready');
}

function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

function rssMegabytes(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(line![1]) / 1_000;
}

await runScript(script, async () => {
  const times = Array.from({ length: runs }, () => {
    const from = performance.now();
    execFileSync(file, ['--version'], { env: {} });
    return performance.now() - from;
  }).sort((a, b) => a - b);
  const [minMs, medianMs, maxMs] = [times[0], times[(runs - 1) / 2], times.at(-1)].map((ms) =>
    Math.round(ms!),
  );

  const report = {
    machine: `${availableParallelism()} cores, ${cpus()[0]?.model ?? 'unknown'}`,
    megabytes: Number((statSync(file).size / 1e6).toFixed(1)),
    version: { runs, minMs, medianMs, maxMs },
    idleNode: await idleNode(),
  };
  console.log(JSON.stringify(report));
  return 0;
});
