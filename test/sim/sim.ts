/**
 * npm run sim -- --seed 13                         one run, and what it brought
 *                --seed 1 --seeds 200 --json       many, each twice, on all cores
 *                --nodes 1000 --minutes 5 --json   a large one, with times
 *                --faults kill,partition           these kinds only; `none` for none
 *                --streams 0                       so many requests of clients; 0: membership alone
 *                --watch i-0000000e              all facts of this instance and about it, on stderr
 *                --only 3,17                       these faults of the seed's schedule only
 *                --once --whole                  no second run; failures are not made smaller
 *                --twice                         a second run of a single seed too, as of many
 *
 * Ends with 1 when a promise was broken; then each broken seed has its replay command and a shrunk list of faults.
 */
import { fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { spread } from '../bench/membership/numbers.ts';
import type { RunOptions } from './run.ts';
import { isFaultKind, type FaultKind } from './schedule.ts';
import { trySeed, type SeedReport } from './seeds.ts';

/** A larger cluster takes minutes, and its digest is compared at smaller ones. */
const twiceNodesMax = 200;
const minutesUsual = 2;

/** A child has one core. That it waits for another one is no leisure in which to look for garbage. */
const thrifty = ['--single-threaded-gc', '--no-memory-reducer'];
const semiSpaceMb = 32;
/**
 * A thousand nodes are more than a gigabyte that lives, and before there is as much it is in vain to look for what does not.
 * Nearly all that is made while they start lives on: the more of it is moved at a time, the nearer to each other lies what
 * one node looks at. V8 begins with no more than half of what a heap may become, so it is told that as well; and what
 * typed arrays hold outside of it must remain below 64 MB, beyond which it looks for garbage however much room there is.
 */
const large = { heapMb: 4_000, heapMbMost: 8_000, semiSpaceMb: 256 };

type Order = { readonly options: RunOptions; readonly how: { twice: boolean; shrinks: boolean } };

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      seeds: { type: 'string', default: '1' },
      nodes: { type: 'string' },
      minutes: { type: 'string', default: String(minutesUsual) },
      faults: { type: 'string' },
      only: { type: 'string' },
      streams: { type: 'string' },
      watch: { type: 'string' },
      once: { type: 'boolean', default: false },
      twice: { type: 'boolean', default: false },
      whole: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  });
  const first = count('seed', values.seed);
  const seeds = count('seeds', values.seeds);
  const nodes = values.nodes === undefined ? null : count('nodes', values.nodes);
  const shape = {
    nodes,
    minutes: Number(values.minutes),
    kinds: values.faults === undefined ? null : kindsFrom(values.faults),
    only: values.only === undefined ? null : listFrom(values.only).map(Number),
    sabotage: null,
    streams: values.streams === undefined ? null : count('streams', values.streams),
    watch: values.watch ?? null,
  };
  const twice = values.twice || (seeds > 1 && !values.once && (nodes ?? 0) <= twiceNodesMax);
  const how = { twice, shrinks: !values.whole };
  const orders = Array.from({ length: seeds }, (_, i) => ({ options: { seed: first + i, ...shape }, how }));
  const startedAt = performance.now();
  const isAlone = seeds === 1 && (nodes ?? 0) <= twiceNodesMax;
  const reports = isAlone ? [await trySeed(orders[0]!.options, how)] : await shareOut(orders);
  tell(reports, { json: values.json, wallSeconds: (performance.now() - startedAt) / 1_000, twice });
}

function tell(
  reports: readonly SeedReport[],
  {
    json,
    wallSeconds,
    twice,
  }: { readonly json: boolean; readonly wallSeconds: number; readonly twice: boolean },
): void {
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
  for (const { complaint } of failed) process.stderr.write(`${complaint}\n`);
  const result = { ...summary, ...rest, ...timed, streams: streamsOf(reports) };
  process.stdout.write(json ? `${JSON.stringify(result)}\n` : `${JSON.stringify(result, null, 2)}\n`);
  if (failed.length > 0) process.exitCode = 1;
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
        reports.push(report);
        next();
      });
      child.on('error', reject);
      child.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`a child ended with ${code}`))));
      next();
    });
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), orders.length) }, work));
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

const listFrom = (text: string): string[] => (text === 'none' ? [] : text.split(','));

function kindsFrom(text: string): FaultKind[] {
  return listFrom(text).map((kind) => {
    if (!isFaultKind(kind)) throw new Error(`no such fault: ${kind}`);
    return kind;
  });
}

function count(name: string, text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 0) throw new Error(`--${name} ${text}: not a count`);
  return number;
}

if (process.env['SIM_CHILD'] === '1') obey();
else await main();
