/**
 * `npm run bench:membership`: how fast 32 real daemons learn that one of them was killed, that a host is gone, that a
 * record changed; whether they ever hold a living one dead; and what that costs, beside as many `serf` agents on the
 * same machine at the same time. `--json` prints one object; `--quick` is a short run of eight to try the bench
 * itself; `--logs DIR` keeps what the daemons say. Exit 1 when a bound is broken; one that cannot be measured here, for
 * lack of namespaces, is told on stderr.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { runTrial, type Ground } from '../../lab/enclosure.ts';
import { openLab } from '../../lab/lab.ts';
import { newestProgram } from '../../lab/program.ts';
import {
  brokenBounds,
  inWords,
  unmeasuredBounds,
  type Beside,
  type FalseDeaths,
  type Report,
} from './bounds.ts';
import { isSet, json, text } from '../../script/flags.ts';
import { runScript, type Given, type Script } from '../../script/script.ts';
import { cpuNanos, payloadSent } from './cost.ts';
import { mean, rounded, spread } from './numbers.ts';
import { Ours } from './ours.ts';
import { needSerf, Serf } from './serf.ts';
import { underStress, type Stress } from './stress.ts';

const full = { nodes: 32, kills: 20, hostOffs: 5, partitionMs: 30_000, stressMs: 60_000, costMs: 30_000 };
type Plan = typeof full;
const quick: Plan = { nodes: 8, kills: 3, hostOffs: 2, partitionMs: 8_000, stressMs: 8_000, costMs: 5_000 };

const stresses: Readonly<Record<keyof FalseDeaths, Stress>> = {
  'stop0.6': { stopMs: 600, runMs: 100, hogs: 0 },
  stop4: { stopMs: 4_000, runMs: 300, hogs: 0 },
  stop12: { stopMs: 12_000, runMs: 300, hogs: 0 },
  hogs: { stopMs: 12_000, runMs: 300, hogs: 8 },
};
/** One in eight is stopped and continued. */
const stoppedShare = 1 / 8;
/** A daemon that is late may judge late: it has so long before the views are looked at, ms. */
const tailMs = 4_000;
/** After the start, before the cost is taken, ms: by then what runs each second is compiled. */
const calmMs = 40_000;

/** It takes about eleven minutes where all is well. */
const runMsMax = 20 * 60_000;

const flags = {
  quick: isSet('fewer of everything, to see that it runs'),
  logs: text('DIR', 'keeps there what the daemons say'),
  json,
};
const script: Script<typeof flags> = {
  name: 'bench:membership',
  about:
    'Thirty-two real daemons beside as many serf agents: kills, dark hosts, changed records, stopped and starved processes, a split, and what it all costs.',
  flags,
  example: 'npm run -s bench:membership -- --json',
};
const complaints: string[] = [];
const startedAt = Date.now();
const say = (line: string): void =>
  void process.stderr.write(`${String(rounded((Date.now() - startedAt) / 1_000)).padStart(4)} s  ${line}\n`);
function complain(what: string): void {
  complaints.push(what);
  say(what);
}

async function trial(ground: Ground, given: Given<typeof flags>): Promise<number> {
  const plan = given.quick ? quick : full;
  if (!ground.isEnclosed) say(`no host is cut off and no network split: ${ground.why}`);
  const program = newestProgram();
  say(`${plan.nodes} nodes of ${program.name}`);
  await using opened = new AsyncDisposableStack();
  const lab = await openLab({
    ...{ nodes: plan.nodes, ground, program: program.start },
    flags: () => ['--role', 'edge'],
    logs: given.logs,
  });
  opened.defer(() => lab.close());
  const serf = await openSerf(ground, plan.nodes);
  if (serf !== null) opened.defer(() => serf.close());
  const { report, beside } = await measure(plan, {
    ours: new Ours(lab, complain),
    serf,
    daemons: lab.daemons,
  });
  process.stdout.write(given.json ? `${JSON.stringify(report)}\n` : inWords(report));
  const broken = brokenBounds(report, beside);
  for (const bound of broken) say(`broken: ${bound}`);
  for (const bound of unmeasuredBounds(report, beside)) say(`unmeasured: ${bound}`);
  for (const complaint of complaints) say(`noted: ${complaint}`);
  return broken.length === 0 ? 0 : 1;
}

async function openSerf({ dir, isEnclosed }: Ground, nodes: number): Promise<Serf | null> {
  const why = needSerf();
  if (why === null) return Serf.start(nodes, dir, isEnclosed);
  say(`no serf beside us: ${why}`);
  return null;
}

type Daemons = Awaited<ReturnType<typeof openLab>>['daemons'];
type Sides = { readonly ours: Ours; readonly serf: Serf | null; readonly daemons: Daemons };

type Measured = { readonly report: Report; readonly beside: Beside };

async function measure(plan: Plan, sides: Sides): Promise<Measured> {
  const { ours, serf } = sides;
  const from = Date.now();
  await pause(calmMs);
  const [cost, serfCost] = await Promise.all([ours.cost(plan.costMs), serf && costOf(plan, serf)]);
  say(`cost ${JSON.stringify(cost)}, serf ${JSON.stringify(serfCost)}`);
  const losses = await loseMany(plan, sides);
  const cutAt = Date.now();
  const healing = await ours.partition(plan.partitionMs);
  say(`partition ${JSON.stringify(healing)}`);
  const falseDead = await stressAll(plan, sides);
  const { p50, p99 } = spread(losses.recordChange);
  const report: Report = {
    nodes: plan.nodes,
    ours: {
      kill: spread(losses.kill),
      hostOff: losses.hostOff.length === 0 ? null : spread(losses.hostOff),
      recordChange: { p50, p99 },
      falseDead: falseDead.ours,
      cost,
      partitionHealed: healing?.ms ?? null,
    },
    serf: serf && {
      kill: spread(losses.serfKill),
      falseDead: falseDead.serf,
      cost: serfCost!,
    },
  };
  const beside: Beside = {
    // While the network is cut, who is held dead on the other side is no bystander.
    bystandersDead: ours.bystandersDead({ from, until: cutAt }),
    unsettled: ours.unsettled,
    partitionBit: healing?.bit ?? null,
  };
  return { report, beside };
}

async function costOf(plan: Plan, serf: Serf): Promise<NonNullable<Report['serf']>['cost']> {
  const nanos = (): readonly number[] => serf.pids().map((pid) => cpuNanos(pid, null));
  const [from, counted, at] = [nanos(), await serf.counters(), performance.now()];
  await pause(plan.costMs);
  const [to, recounted, ms] = [nanos(), await serf.counters(), performance.now() - at];
  const shares = to.map((spent, i) => (100 * (spent - from[i]!)) / (ms * 1e6));
  const sent =
    counted === null || recounted === null
      ? null
      : payloadSent(recounted.netstat, recounted.snmp) - payloadSent(counted.netstat, counted.snmp);
  return {
    bytesPerSecond: sent === null ? null : rounded((sent * 1_000) / ms / plan.nodes),
    corePercent: rounded(mean(shares), 3),
  };
}

/** Kills in turn, ours and serf's. Serf takes seconds over each of its own, in which ours lose other things. */
async function loseMany(plan: Plan, { ours, serf, daemons }: Sides) {
  const times = { kill: [], hostOff: [], recordChange: [], serfKill: [] } as Record<string, number[]>;
  const { kill = [], hostOff = [], recordChange = [], serfKill = [] } = times;
  for (let round = 0; round < plan.kills; round++) {
    const victim = (step: number): Daemons[number] => daemons[(7 * round + step) % daemons.length]!;
    const theirs = serf?.kill((7 * round + 2) % daemons.length);
    await pause(500);
    kill.push(await ours.kill(victim(3)));
    recordChange.push(await ours.recordChange(victim(5)));
    const isHostOff = round % Math.floor(plan.kills / plan.hostOffs) === 0;
    const off = isHostOff ? await ours.hostOff(victim(1)) : null;
    if (off !== null) hostOff.push(off);
    if (theirs !== undefined) serfKill.push(await theirs);
    say(`kill ${kill.at(-1)}, record ${recordChange.at(-1)}, host ${off}, serf's kill ${serfKill.at(-1)} ms`);
  }
  return { kill, hostOff, recordChange, serfKill };
}

/** What is told of one stress is told before the next one begins, also while everything comes to rest. */
async function stressAll(plan: Plan, { ours, serf, daemons }: Sides) {
  const some = Array.from({ length: plan.nodes * stoppedShare }, (_, i) => Math.round(i / stoppedShare) + 3);
  const names = Object.keys(stresses) as (keyof FalseDeaths)[];
  const begunAt: number[] = [];
  for (const name of names) {
    begunAt.push(Date.now());
    const agents = some.map((index) => ({ signal: (s: NodeJS.Signals) => serf?.signal(index, s) }));
    await underStress([...some.map((index) => daemons[index]!), ...agents], stresses[name], plan.stressMs);
    await pause(tailMs);
    await ours.settle();
  }
  const found = { ours: {}, serf: {} } as Record<'ours' | 'serf', Record<keyof FalseDeaths, number>>;
  for (const [i, name] of names.entries()) {
    const window = { from: begunAt[i]!, until: begunAt[i + 1] ?? Infinity };
    found.ours[name] = ours.falseDeaths(window);
    found.serf[name] = serf?.failures(window) ?? 0;
    say(`${name}: false deaths ${found.ours[name]}, serf ${found.serf[name]}`);
  }
  return found;
}

await runScript(script, (given) => {
  // Outside, where there is a network to install it from.
  needSerf();
  return runTrial((ground) => trial(ground, given), runMsMax);
});
