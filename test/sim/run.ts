/**
 * One run: a cluster boots, faults come and go, and then it is left in peace until it must have come to rest. All of it
 * follows from the options; the same options give the same digest.
 */
import { wireCodec } from '../../src/node/message.ts';
import { firstTokenMs } from '../../src/stream/rhythm.ts';
import { asTheyAre, isBeat, onceEach } from './carriage.ts';
import { Checks, type Violation } from './checks.ts';
import { Dice } from './dice.ts';
import { schedule } from './faults.ts';
import { membershipOnly } from './resident.ts';
import type { Sabotage } from './sabotage.ts';
import {
  drawDisks,
  drawFaults,
  groupOf,
  groups,
  habits,
  planDeaths,
  type Fault,
  type FaultKind,
} from './schedule.ts';
import { orphanMs } from './serving/custody.ts';
import type { StreamCounts } from './serving/promises.ts';
import { RequestPath } from './serving/request-path.ts';
import { Timings, type Percentiles } from './timings.ts';
import { World } from './world.ts';

export type RunOptions = {
  readonly seed: number;
  /** null: drawn from the seed. */
  readonly nodes: number | null;
  readonly minutes: number;
  /** null: any kind. */
  readonly kinds: readonly FaultKind[] | null;
  /** Indices of the faults that are kept; null: all. */
  readonly only: readonly number[] | null;
  readonly sabotage: Sabotage | null;
  /** Requests of clients; 0: membership alone; null: drawn from the seed. */
  readonly streams: number | null;
  /** An instance whose story is told on stderr, by itself and by the others; null: none. */
  readonly watch: string | null;
};

export type Outcome = {
  readonly seed: number;
  readonly nodes: number;
  readonly violations: readonly Violation[];
  readonly faults: readonly Fault[];
  readonly steps: number;
  readonly digest: string;
  readonly simulatedMs: number;
  /** From the end of the faults until all views and records were equal, and remained so. */
  readonly restMs: number;
  readonly kill: Percentiles | null;
  readonly hostOff: Percentiles | null;
  readonly ec2CallsPerSecond: number;
  readonly coldStartSeconds: number | null;
  readonly streams: StreamCounts;
};

/** The cluster is whole before the first fault, and has this long to heal after the last, ms. */
const calmMs = { before: 10_000, after: 40_000 };
/** Within which views are equal after the last fault, and from when on they remain so, ms. */
const restMsMost = 30_000;
const lookMs = 100;
/** Beyond `restMsMost`, and long enough before the end for all to know. */
const relapseMs = 33_000;
/** Of larger clusters the membership is simulated alone. */
const smallNodes = 50;
/** Clients come until then after the last fault, and have the rest of the time to be answered, ms. */
const lastStreamMs = 5_000;
/** An engine that read a prompt and says nothing is waited for so long by an answer that has not begun ([S9]), ms. */
const patienceMs = firstTokenMs + 20_000;
/** Of larger clusters messages are not encoded, and beats wait to be read. */
const wireNodesMax = 100;
const bootMs = 3_000;
/** Few are simulated until the last journal must be free: it is a long time in which nothing else happens. */
const longPeace = { share: 0.25, nodesMax: 8 };
/** Requests of a small cluster; in a larger one each costs more, because its load is told to more members. */
const streamsRange = { least: 30, span: 50, upToNodes: 16 };
/** Beyond it a run is for times: EC2 takes up to two minutes to tag a thousand, and then deaths are counted. */
const largeNodes = 200;
const largeStartMs = 150_000;

export async function run(options: RunOptions): Promise<Outcome> {
  const dice = new Dice(options.seed).for('run');
  const nodes = options.nodes ?? drawSize(dice.for('size'));
  const usualEnd = options.minutes * 60_000;
  const isLarge = nodes > largeNodes;
  const from = isLarge ? Math.min(usualEnd / 2, largeStartMs) : calmMs.before;
  const span = { from, until: Math.max(from, usualEnd - calmMs.after) };
  const streams = options.streams ?? (nodes <= smallNodes ? drawStreams(dice.for('streams'), nodes) : 0);
  const isLong = streams > 0 && nodes <= longPeace.nodesMax && dice.for('peace').hits(longPeace.share);
  const end = usualEnd + (isLong ? orphanMs : 0);
  const drawn =
    isLarge && options.kinds === null
      ? planDeaths(dice.for('faults'), span)
      : drawAll(dice, { span, kinds: options.kinds ?? kindsOfAll, streams });
  const faults = drawn.filter(({ index }) => options.only?.includes(index) ?? true);
  const checks = new Checks(() => world, nodes);
  const codec = nodes <= wireNodesMax ? onceEach(wireCodec) : asTheyAre;
  const path = new RequestPath({
    ...{ dice: dice.for('serving'), codec, readsNotices: drawn.some(({ kind }) => kind === 'notice') },
    sabotage: options.sabotage,
    onBroken: (promise, what) => checks.break(promise, what),
  });
  const world: World = new World({
    seed: options.seed,
    sabotage: options.sabotage,
    isMail: codec === asTheyAre ? isBeat : () => false,
    inhabit: streams > 0 ? path.inhabit : membershipOnly({ withDuty: nodes <= smallNodes, codec }),
    onFact: (resident, fact) => checks.onFact(resident, fact),
    onChanged: (resident, id) => checks.onChanged(resident, id),
    onStart: (resident) => checks.onStart(resident),
    onApplied: (applied) => checks.duty.applied(applied),
  });
  world.network.onAdmitted = (gate, comer) => checks.onAdmitted(gate, comer);
  const timings = new Timings(world, checks);
  const rest = { since: span.until, ms: 0 };
  if (streams > 0) path.open(world, streams, { from: bootMs, until: span.until + lastStreamMs });
  for (let i = 0; i < nodes; i++) {
    const host = world.launch(null);
    world.at(dice.unit() * bootMs, () => world.start(host));
  }
  schedule(world, faults);
  if (options.sabotage === 'relapse') world.at(span.until + relapseMs, () => world.kill(world.living()[0]!));
  if (options.watch !== null) checks.watch(options.watch);
  everySecond(world, checks, end);
  watchRest(world, checks, { rest, end });
  watchStart(world, checks, timings);
  await guarded(checks, () => world.run(end, () => checks.violations.length > 0));
  if (checks.violations.length === 0 && path.isAwaited())
    await guarded(checks, () => world.run(end + patienceMs, () => checks.violations.length > 0));
  if (checks.violations.length === 0) settle(checks, rest);
  if (checks.violations.length === 0 && nodes <= smallNodes) checks.mustBeLed();
  if (checks.violations.length === 0 && streams > 0) path.settle();
  return {
    ...{ seed: options.seed, nodes, violations: checks.violations, faults, restMs: rest.ms },
    ...{ steps: world.queue.steps, digest: world.digest.value(), simulatedMs: world.now },
    ...timings.summary(),
    streams: path.counts(),
  };
}

const kindsOfAll = Object.keys(habits) as FaultKind[];

function drawAll(
  dice: Dice,
  about: {
    readonly span: { readonly from: number; readonly until: number };
    readonly kinds: readonly FaultKind[];
    readonly streams: number;
  },
): Fault[] {
  const { span, kinds, streams } = about;
  const drawn: Fault[] = [];
  for (const group of groups) {
    if (streams === 0 && group === 'request faults') continue;
    const its = kinds.filter((kind) => groupOf(kind) === group);
    const behind = drawn.length;
    const draw = group === 'disk faults' ? drawDisks : drawFaults;
    for (const fault of draw(dice.for(group), span, its))
      drawn.push({ ...fault, index: behind + fault.index });
  }
  return drawn;
}

function drawStreams(dice: Dice, nodes: number): number {
  const { least, span, upToNodes } = streamsRange;
  return Math.ceil((least + dice.below(span)) * Math.min(1, upToNodes / nodes));
}

/** Small ones are as likely as large ones, because one, two and three nodes are cases of their own. */
const drawSize = (dice: Dice): number => (dice.hits(0.3) ? 5 + dice.below(4) : 5 + dice.below(46));

function everySecond(world: World, checks: Checks, end: number): void {
  world.at(world.now + 1_000, () => {
    checks.sweep();
    for (const resident of world.living()) world.digest.text(checks.stateOf(resident));
    if (world.now < end) everySecond(world, checks, end);
  });
}

type Rest = { readonly since: number; ms: number };

function watchRest(
  world: World,
  checks: Checks,
  { rest, end }: { readonly rest: Rest; readonly end: number },
): void {
  const look = (): void => {
    if (!checks.isEqual()) rest.ms = Math.round(world.now - rest.since) + lookMs;
    if (world.now + lookMs < end) world.at(world.now + lookMs, look);
  };
  // What ends at that very instant has ended.
  world.at(rest.since + 1, look);
}

function watchStart(world: World, checks: Checks, timings: Timings): void {
  if (checks.isWhole() && world.now > bootMs) timings.started();
  else world.at(world.now + lookMs, () => watchStart(world, checks, timings));
}

function settle(checks: Checks, rest: Rest): void {
  const difference = checks.difference();
  if (difference !== null) checks.break('I2', `at the end ${difference}`);
  else if (rest.ms > restMsMost)
    checks.break('I2', `views were unequal until ${rest.ms} ms after the last fault`);
}

/** A machine that throws has broken a promise of its own. */
async function guarded(checks: Checks, act: () => Promise<void>): Promise<void> {
  const crash = (error: unknown): void =>
    checks.break('crash', error instanceof Error ? (error.stack ?? error.message) : String(error));
  process.on('unhandledRejection', crash);
  try {
    await act();
  } catch (error) {
    crash(error);
  } finally {
    process.off('unhandledRejection', crash);
  }
}
