/**
 * `npm run bench:idle -- --json`: what a node costs that has nothing to do: the executable, sixteen times, as members
 * of one cluster on the local cloud, each the daemon alone without an engine. CPU time and resident memory as the
 * kernel counts them, the mean over the nodes. Exit 1 when a bound is broken.
 */
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { buildExecutable } from '../../src/build/executable.ts';
import { openLab } from '../lab/lab.ts';
import { json, whole } from '../script/flags.ts';
import { runScript, type Script } from '../script/script.ts';

const bounds = { corePercent: 2, rssMb: 170 };
/** A node that has met everybody sweeps its heap for the last time within seconds. */
const settleMs = 20_000;
const idleMs = 60_000;
const meetMs = 120_000;
/** USER_HZ of Linux: /proc counts CPU time in hundredths of a second. */
const ticksPerSecond = 100;

const flags = { nodes: whole('so many', { least: 1, otherwise: 16 }), json };
const script: Script<typeof flags> = {
  name: 'bench:idle',
  about: 'What a node takes that has nothing to do: the executable, the daemon alone, the mean over nodes.',
  flags,
  example: 'npm run -s bench:idle -- --json',
};
const file = 'dist/synkti';

await runScript(script, async (given) => {
  if (!existsSync(file)) await buildExecutable(file, (line) => console.error(line));
  const measured = await idleNodes(given.nodes);
  const { nodes, corePercent, rssMb } = measured;
  if (given.json) console.log(JSON.stringify(measured));
  else console.log(`${nodes} idle nodes, each: ${corePercent} % of a core, ${rssMb} MB resident`);
  return corePercent <= bounds.corePercent && rssMb <= bounds.rssMb ? 0 : 1;
});

async function idleNodes(nodes: number): Promise<{ nodes: number; corePercent: number; rssMb: number }> {
  const dir = await mkdtemp(join(tmpdir(), 'synkti-idle-'));
  const lab = await openLab({
    nodes,
    ground: { dir, isEnclosed: false, why: 'nobody is cut off here' },
    program: (args) => ({ command: file, args }),
    flags: () => ['--role', 'edge'],
    logs: null,
  });
  try {
    await lab.settled(meetMs);
    await pause(settleMs);
    const pids = lab.daemons.map(({ pid }) => pid);
    const [from, before] = [performance.now(), pids.map(cpuSeconds)];
    await pause(idleMs);
    const seconds = (performance.now() - from) / 1_000;
    const spent = pids.map((pid, i) => cpuSeconds(pid) - before[i]!);
    return {
      nodes,
      corePercent: Number(((100 * mean(spent)) / seconds).toFixed(2)),
      rssMb: Number(mean(pids.map(rssMegabytes)).toFixed(1)),
    };
  } finally {
    await lab.close();
    await rm(dir, { recursive: true, force: true });
  }
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

function rssMegabytes(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return (Number(line![1]) * 1_024) / 1e6;
}
