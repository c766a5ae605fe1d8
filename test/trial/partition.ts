/**
 * `npm run trial:partition`: 16 real daemons, four of them with an engine, under load all the time. Each is restarted
 * in turn; then the network between the two halves is cut for half a minute and joined again. Meanwhile candidates on
 * both sides want one lease over S3, and whoever holds it is frozen and killed. Exit 1 when a client was failed, a
 * half stopped serving, the halves did not merge by themselves, or a lease committed twice.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { statusOf } from '../demo/observe.ts';
import { watchStalls } from '../demo/stalls.ts';
import type { Daemon } from '../lab/daemon.ts';
import { runTrial, type Ground } from '../lab/enclosure.ts';
import { allAlive, openLab, type Lab } from '../lab/lab.ts';
import { newestProgram } from '../lab/program.ts';
import { isSet, json, text } from '../script/flags.ts';
import { runScript, type Given, type Script } from '../script/script.ts';
import { Customers, type Answers } from './customers.ts';
import { Duties, ttlMs, type LeaseReport } from './duties.ts';

type Plan = {
  readonly nodes: number;
  readonly partitionMs: number;
  readonly candidates: number;
  readonly lanes: number;
  readonly withinMs: number;
};
const full: Plan = { nodes: 16, partitionMs: 30_000, candidates: 6, lanes: 4, withinMs: 8 * 60_000 };
const small: Plan = { nodes: 6, partitionMs: 12_000, candidates: 4, lanes: 2, withinMs: 8 * 60_000 };

const settleMs = 120_000;
const leaveMs = 60_000;
/** A dead host is known within a second; both halves do it at once, and on a machine that is shared. */
const splitMs = 10_000;
/** What a half serves once the cut is known is counted. */
const healedMs = 3_000;

const flags = {
  small: isSet('six daemons in a minute, instead of sixteen'),
  logs: text('DIR', 'keeps there what the daemons say'),
  json,
};
const script: Script<typeof flags> = {
  name: 'trial:partition',
  about:
    'Daemons under load are restarted in turn, then the network between two halves of them is cut and joined again, while candidates on both sides want one lease over S3.',
  flags,
  example: 'npm run -s trial:partition -- --small --json',
};
const startedAt = performance.now();
const say = (line: string): void =>
  void process.stderr.write(
    `${((performance.now() - startedAt) / 1_000).toFixed(0).padStart(4)} s  ${line}\n`,
  );

/** Times in ms. null: no network to cut here. */
type Report = {
  readonly nodes: number;
  readonly rollingRestart: Answers & { readonly restarted: number; readonly slowestMs: number };
  readonly partition: {
    readonly west: Answers;
    readonly east: Answers;
    /** From the cut until every node held the other half dead. */
    readonly splitMs: number;
    /** From its end until every node held every other one alive. */
    readonly healedMs: number;
    /** How much of that the machine stood still. */
    readonly stalledMs: number;
    readonly merged: boolean;
  } | null;
  readonly after: Answers;
  readonly lease: LeaseReport;
};

type Scene = {
  readonly plan: Plan;
  readonly lab: Lab;
  readonly west: readonly Daemon[];
  readonly east: readonly Daemon[];
  readonly clients: { readonly west: Customers; readonly east: Customers };
  readonly duties: Duties;
};

async function trial(ground: Ground, plan: Plan, given: Given<typeof flags>): Promise<number> {
  if (!ground.isEnclosed) say(`no network is cut: ${ground.why}`);
  const program = newestProgram();
  say(`${plan.nodes} nodes of ${program.name}`);
  await using opened = new AsyncDisposableStack();
  const half = plan.nodes / 2;
  const lab = await openLab({
    ...{ nodes: plan.nodes, ground, program: program.start, logs: given.logs },
    flags: (index) => (hasEngine(index, plan) ? ['--engine', 'simulated'] : ['--role', 'edge']),
  });
  opened.defer(() => lab.close());
  const [west, east] = [lab.daemons.slice(0, half), lab.daemons.slice(half)];
  const duties = new Duties(lab);
  opened.defer(() => duties.close());
  await duties.prepare();
  for (let at = 0; at < plan.candidates; at++) duties.start((at % 2) * half + Math.floor(at / 2));
  await serving({ lab, plan }, lab.daemons);
  const clients = { west: new Customers(west, plan.lanes), east: new Customers(east, plan.lanes) };
  opened.defer(async () => void (await Promise.all([clients.west.close(), clients.east.close()])));

  const report = await perform({ lab, plan, west, east, clients, duties });
  process.stdout.write(`${JSON.stringify(report, null, given.json ? 0 : 2)}\n`);
  for (const failure of [...clients.west.failures(), ...clients.east.failures()]) say(`failed: ${failure}`);
  const broken = bounds(report).filter(([, holds]) => !holds);
  for (const [bound] of broken) say(`broken: ${bound}`);
  return broken.length === 0 ? 0 : 1;
}

/** Two on each side: one of them may be away. */
const hasEngine = (index: number, { nodes }: Plan): boolean => index % (nodes / 2) < 2;

async function perform(scene: Scene): Promise<Report> {
  const { lab, plan, clients, duties } = scene;
  const rollingRestart = await restartAll(scene);
  say(`restarted: ${JSON.stringify(rollingRestart)}`);
  const partition = lab.wires === null ? null : await split(scene);
  say(`partition: ${JSON.stringify(partition)}`);
  const since = performance.now();
  await usurp(duties, 'SIGKILL');
  await pause(3_000);
  await Promise.all([clients.west.close(), clients.east.close()]);
  const after = sum(clients.west.answers(since), clients.east.answers(since));
  await duties.close();
  return { nodes: plan.nodes, rollingRestart, partition, after, lease: duties.report() };
}

/** One after another, as an operator rolls out a new version: the next when all see the last one again. */
async function restartAll({ lab, plan, clients }: Scene): Promise<Report['rollingRestart']> {
  const since = performance.now();
  let [restarted, slowestMs] = [0, 0];
  for (const daemon of lab.daemons) {
    const at = performance.now();
    for (const side of [clients.west, clients.east]) side.avoided.add(daemon);
    daemon.signal('SIGTERM');
    const left = await Promise.race([daemon.ended.then(() => true), pause(leaveMs, false)]);
    if (!left) throw new Error(`node ${daemon.index} does not leave`);
    await daemon.start();
    await lab.settled(settleMs);
    await serving({ lab, plan }, [daemon]);
    for (const side of [clients.west, clients.east]) side.avoided.delete(daemon);
    restarted++;
    slowestMs = Math.max(slowestMs, Math.round(performance.now() - at));
    say(`node ${daemon.index} restarted in ${Math.round(performance.now() - at)} ms`);
  }
  return { restarted, slowestMs, ...sum(clients.west.answers(since), clients.east.answers(since)) };
}

async function split(scene: Scene): Promise<NonNullable<Report['partition']>> {
  const { lab, plan, west, east, clients, duties } = scene;
  const [since, cutAt] = [performance.now(), Date.now()];
  await lab.wires!.trunk('cut');
  const knownAt = await Promise.all([
    ...east.map((lost) => known(lab, 'member.died', { lost, by: west, since: cutAt })),
    ...west.map((lost) => known(lab, 'member.died', { lost, by: east, since: cutAt })),
  ]);
  say(`both halves hold the other one dead after ${Math.max(...knownAt) - cutAt} ms`);
  await usurp(duties, 'SIGSTOP');
  await pause(Math.max(0, plan.partitionMs - (performance.now() - since)));
  const answers = { west: clients.west.answers(since), east: clients.east.answers(since) };
  const stalls = watchStalls();
  const joinedAt = Date.now();
  await lab.wires!.trunk('join');
  await lab.settled(settleMs);
  const stalledMs = stalls.totalMs();
  stalls.stop();
  const back = lab.witness.said.filter(({ fact, at }) => fact === 'member.recovered' && at >= joinedAt);
  return {
    ...answers,
    splitMs: Math.max(...knownAt) - cutAt,
    healedMs: Math.max(0, ...back.map(({ at }) => at - joinedAt)),
    stalledMs,
    merged: await allAlive(lab.daemons),
  };
}

async function known(
  { witness }: Lab,
  fact: string,
  { lost, by, since }: { readonly lost: Daemon; readonly by: readonly Daemon[]; readonly since: number },
): Promise<number> {
  const observers = by.map(({ index }) => index);
  const times = await witness.known({ facts: [fact], member: lost.id, since }, observers, splitMs);
  return times.size === observers.length ? Math.max(...times.values()) : since + splitMs;
}

/** Stops or kills who holds the lease, waits until another one has it, and lets the stopped one go on. */
async function usurp(duties: Duties, signal: 'SIGSTOP' | 'SIGKILL'): Promise<void> {
  const [holder, epoch] = [duties.holder(), duties.epoch()];
  if (holder === null) throw new Error('nobody ever held the lease');
  holder.kill(signal);
  const until = performance.now() + 15 * ttlMs;
  while (duties.epoch() <= epoch) {
    if (performance.now() > until) throw new Error(`nobody took the lease after ${signal} of its holder`);
    await pause(50);
  }
  say(`${signal} of the holder of epoch ${epoch}, now ${duties.epoch()}`);
  if (signal === 'SIGSTOP') holder.kill('SIGCONT');
}

/** Until those with an engine serve. */
async function serving(
  { lab: { witness }, plan }: Pick<Scene, 'lab' | 'plan'>,
  daemons: readonly Daemon[],
): Promise<void> {
  const waiting = daemons.filter(({ index }) => hasEngine(index, plan));
  const until = performance.now() + settleMs;
  const look = async (daemon: Daemon): Promise<boolean> => (await statusOf(daemon)).life.phase === 'serving';
  while (!(await Promise.all(waiting.map(look))).every(Boolean)) {
    if (performance.now() > until)
      throw new Error(`no engine:\n${waiting.map(({ index }) => witness.murmurs(index))}`);
    await pause(100);
  }
}

const sum = (a: Answers, b: Answers): Answers => ({
  answered: a.answered + b.answered,
  failed: a.failed + b.failed,
});

function bounds({ nodes, rollingRestart, partition, after, lease }: Report) {
  const served = ({ answered, failed }: Answers): boolean => answered > 0 && failed === 0;
  return [
    ['every node came back', rollingRestart.restarted === nodes],
    ['no client was failed by the restarts', served(rollingRestart)],
    ['the western half kept serving', partition === null || served(partition.west)],
    ['the eastern half kept serving', partition === null || served(partition.east)],
    ['the halves merged by themselves', partition === null || partition.merged],
    [
      `healed within ${healedMs} ms`,
      partition === null || partition.healedMs - partition.stalledMs <= healedMs,
    ],
    ['all is well afterwards', served(after)],
    ['the lease changed hands', lease.epochs >= 2],
    ['the lease never committed twice', lease.violations === 0],
  ] as const;
}

await runScript(script, (given) => {
  const plan = given.small ? small : full;
  return runTrial((ground) => trial(ground, plan, given), plan.withinMs);
});
