/**
 * `npm run sim -- --help`: one seed or many, on all cores, and what became of their promises. What it is told stands in
 * `flags.ts`.
 */
import { fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { spread } from '../bench/membership/numbers.ts';
import { runScript } from '../script/script.ts';
import { script, type SimFlags } from './flags.ts';
import type { RunOptions } from './run.ts';
import { trySeed, type SeedReport } from './seeds.ts';

/** A larger cluster takes minutes, and its digest is compared at smaller ones. */
const twiceNodesMax = 200;

/** A child has one core. That it waits for another one is no leisure in which to look for garbage. */
const thrifty = ['--single-threaded-gc', '--no-memory-reducer'];
const semiSpaceMb = 32;
/** Between words of how far many seeds have come. */
const progressMs = 60_000;
/**
 * A thousand nodes are more than a gigabyte that lives, and before there is as much it is in vain to look for what does not.
 * Nearly all that is made while they start lives on: the more of it is moved at a time, the nearer to each other lies what
 * one node looks at. V8 begins with no more than half of what a heap may become, so it is told that as well; and what
 * typed arrays hold outside of it must remain below 64 MB, beyond which it looks for garbage however much room there is.
 */
const large = { heapMb: 4_000, heapMbMost: 8_000, semiSpaceMb: 256 };

type Order = { readonly options: RunOptions; readonly how: { twice: boolean; shrinks: boolean } };

async function main(flags: SimFlags): Promise<number> {
  const { seed: first, seeds, nodes, minutes, faults: kinds, only, streams, watch, json } = flags;
  const shape = { nodes, minutes, kinds, only, streams, watch };
  const isLarge = (nodes ?? 0) > twiceNodesMax;
  const twice = flags.twice || (seeds > 1 && !flags.once && !isLarge);
  const how = { twice, shrinks: !flags.whole };
  const orders = Array.from({ length: seeds }, (_, i) => ({
    options: { seed: first + i, ...shape, sabotage: null },
    how,
  }));
  const startedAt = performance.now();
  const isAlone = seeds === 1 && !isLarge;
  const reports = isAlone ? [found(await trySeed(orders[0]!.options, how))] : await shareOut(orders);
  return tell(reports, { json, wallSeconds: (performance.now() - startedAt) / 1_000, twice });
}

/** A seed that fails is told of when it has: two thousand take most of an hour. */
function found(report: SeedReport): SeedReport {
  if (report.complaint !== null) process.stderr.write(`${report.complaint}\n`);
  return report;
}

/** Returns the exit code. */
function tell(
  reports: readonly SeedReport[],
  {
    json,
    wallSeconds,
    twice,
  }: { readonly json: boolean; readonly wallSeconds: number; readonly twice: boolean },
): number {
  const failed = reports.filter(({ complaint }) => complaint !== null);
  const sum = (of: (report: SeedReport) => number): number =>
    reports.reduce((total, report) => total + of(report), 0);
  const simulated = sum(({ outcome }) => outcome.simulatedMs) * (twice ? 2 : 1);
  const summary = {
    seeds: reports.length,
    failed: failed.map(({ seed }) => seed),
    steps: sum(({ steps }) => steps),
    digestsEqual: reports.every(({ digestsEqual }) => digestsEqual),
    simulatedSeconds: Math.round(simulated / 1_000),
    wallSeconds: Math.round(wallSeconds * 10) / 10,
  };
  const { p50, max } = spread(reports.map(({ outcome }) => outcome.restMs));
  const rest = { restMs: { p50, max } };
  const [only] = reports;
  const timed =
    reports.length === 1 && only !== undefined
      ? {
          nodes: only.outcome.nodes,
          kill: only.outcome.kill,
          hostOff: only.outcome.hostOff,
          ec2CallsPerSecond: only.outcome.ec2CallsPerSecond,
          coldStartSeconds: only.outcome.coldStartSeconds,
        }
      : {};
  const result = { ...summary, ...rest, ...timed, streams: streamsOf(reports) };
  process.stdout.write(json ? `${JSON.stringify(result)}\n` : `${JSON.stringify(result, null, 2)}\n`);
  return failed.length === 0 ? 0 : 1;
}

/** What became of the requests of all runs. */
function streamsOf(reports: readonly SeedReport[]): Readonly<Record<string, number>> {
  const total: Record<string, number> = {};
  const stalls: number[] = [];
  for (const { outcome } of reports) {
    const { stallMs, ...counts } = outcome.streams;
    stalls.push(...stallMs);
    for (const [name, count] of Object.entries(counts)) total[name] = (total[name] ?? 0) + count;
  }
  // Of none there is neither, which JSON calls null.
  const { p50, p99 } = spread(stalls);
  return { ...total, stallMsP50: p50, stallMsP99: p99 };
}

/** A child for each core; each takes the next seed when it is done with one. */
async function shareOut(orders: readonly Order[]): Promise<SeedReport[]> {
  const reports: SeedReport[] = [];
  const waiting = [...orders];
  const work = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const env = { ...process.env, SIM_CHILD: '1' };
      const child = fork(new URL(import.meta.url), { env, execArgv: [...process.execArgv, ...heap(orders)] });
      const next = (): void => {
        const order = waiting.shift();
        if (order === undefined) child.disconnect();
        else child.send(order);
      };
      child.on('message', (report: SeedReport) => {
        reports.push(found(report));
        next();
      });
      child.on('error', reject);
      child.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`a child ended with ${code}`))));
      next();
    });
  const telling = setInterval(
    () => process.stderr.write(`${reports.length} of ${orders.length} seeds\n`),
    progressMs,
  );
  try {
    await Promise.all(Array.from({ length: Math.min(availableParallelism(), orders.length) }, work));
  } finally {
    clearInterval(telling);
  }
  return reports.sort((a, b) => a.seed - b.seed);
}

function heap(orders: readonly Order[]): string[] {
  const isLarge = orders.some(({ options: { nodes } }) => (nodes ?? 0) > twiceNodesMax);
  if (!isLarge) return [...thrifty, `--max-semi-space-size=${semiSpaceMb}`];
  const young = (['min', 'max'] as const).map((end) => `--${end}-semi-space-size=${large.semiSpaceMb}`);
  const old = [`--initial-old-space-size=${large.heapMb}`, `--max-old-space-size=${large.heapMbMost}`];
  return [...thrifty, ...young, ...old];
}

function obey(): void {
  process.on('message', ({ options, how }: Order) => {
    void trySeed(options, how).then((report) => process.send?.(report));
  });
}

if (process.env['SIM_CHILD'] === '1') obey();
else await runScript(script, main);
