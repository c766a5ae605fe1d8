/**
 * Which faults a seed brings, and when: swarm testing (Groce et al., ISSTA 2012), so every seed draws a few kinds and
 * leaves the others out, because faults that are always all there hide each other. The schedule is drawn before the run
 * and does not depend on it: any part of it can be left out to find the part that matters.
 */
import type { Dice } from './dice.ts';

export type FaultKind =
  | 'kill'
  | 'power'
  | 'terminate'
  | 'leave'
  | 'grow'
  | 'pause'
  | 'cycle'
  | 'slow'
  | 'partition'
  | 'isolate'
  | 'one-way'
  | 'loss'
  | 'lag'
  | 'sever'
  | 'backlog'
  | 'zone'
  | 'gossip-lost'
  | 'black-hole'
  | 'echo'
  | 'wall-jump'
  | 'revise'
  | 'ec2-out'
  | 'ec2-throttle'
  | 'ec2-stale'
  | 'ec2-partial'
  | 's3-flaky'
  | 's3-out'
  | 'stranger'
  | 'liar'
  | 'notice'
  | 'disks'
  | 'slander'
  | EntryFaultKind
  | EngineFaultKind;

/** What the node meets that somebody's answer hangs on. `pair-kill`: and one of those without which nobody goes on. */
export type EntryFaultKind = 'entry-kill' | 'entry-stop' | 'entry-cut' | 'pair-kill';

/** What an engine meets while its daemon is well. */
export type EngineFaultKind = 'engine-kill' | 'engine-stop' | 'engine-wedge' | 'engine-slow' | 'engine-break';

export type Fault = {
  readonly index: number;
  readonly kind: FaultKind;
  readonly at: number;
  readonly until: number;
  /** Its own chance: whom it hits, and how hard. */
  readonly seed: number;
};

/** How often in a minute when a seed has the kind at all, and how long each lasts, ms. */
type Habit = { readonly perMinute: number; readonly ms: readonly [least: number, most: number] };

export const habits: Readonly<Record<FaultKind, Habit>> = {
  kill: { perMinute: 6, ms: [500, 20_000] },
  power: { perMinute: 3, ms: [3_000, 40_000] },
  terminate: { perMinute: 3, ms: [5_000, 30_000] },
  leave: { perMinute: 3, ms: [5_000, 30_000] },
  grow: { perMinute: 3, ms: [0, 0] },
  pause: { perMinute: 8, ms: [100, 15_000] },
  cycle: { perMinute: 3, ms: [5_000, 40_000] },
  slow: { perMinute: 3, ms: [2_000, 20_000] },
  partition: { perMinute: 2, ms: [500, 30_000] },
  isolate: { perMinute: 4, ms: [300, 20_000] },
  'one-way': { perMinute: 6, ms: [500, 20_000] },
  loss: { perMinute: 3, ms: [2_000, 20_000] },
  lag: { perMinute: 3, ms: [2_000, 20_000] },
  sever: { perMinute: 15, ms: [0, 0] },
  backlog: { perMinute: 3, ms: [2_000, 15_000] },
  zone: { perMinute: 1, ms: [5_000, 30_000] },
  'gossip-lost': { perMinute: 1, ms: [5_000, 60_000] },
  'black-hole': { perMinute: 10, ms: [2_000, 30_000] },
  echo: { perMinute: 2, ms: [10_000, 40_000] },
  'wall-jump': { perMinute: 4, ms: [0, 0] },
  revise: { perMinute: 30, ms: [0, 0] },
  'ec2-out': { perMinute: 1, ms: [5_000, 60_000] },
  'ec2-throttle': { perMinute: 1, ms: [5_000, 60_000] },
  'ec2-stale': { perMinute: 1, ms: [20_000, 60_000] },
  'ec2-partial': { perMinute: 1, ms: [10_000, 60_000] },
  's3-flaky': { perMinute: 1, ms: [10_000, 60_000] },
  's3-out': { perMinute: 1, ms: [2_000, 30_000] },
  stranger: { perMinute: 2, ms: [5_000, 30_000] },
  liar: { perMinute: 2, ms: [5_000, 30_000] },
  notice: { perMinute: 6, ms: [20_000, 40_000] },
  disks: { perMinute: 2, ms: [10_000, 60_000] },
  slander: { perMinute: 2, ms: [5_000, 30_000] },
  'entry-kill': { perMinute: 6, ms: [500, 20_000] },
  'entry-stop': { perMinute: 4, ms: [500, 20_000] },
  'entry-cut': { perMinute: 4, ms: [500, 20_000] },
  'pair-kill': { perMinute: 3, ms: [500, 20_000] },
  'engine-kill': { perMinute: 3, ms: [0, 0] },
  'engine-stop': { perMinute: 3, ms: [500, 20_000] },
  'engine-wedge': { perMinute: 4, ms: [500, 20_000] },
  'engine-slow': { perMinute: 3, ms: [2_000, 20_000] },
  'engine-break': { perMinute: 8, ms: [0, 0] },
};

/** Only where requests are simulated too. */
const ofRequests = new Set<FaultKind>([
  'notice',
  'entry-kill',
  'entry-stop',
  'entry-cut',
  'pair-kill',
  'engine-kill',
  'engine-stop',
  'engine-wedge',
  'engine-slow',
  'engine-break',
]);
/**
 * Kinds are drawn by groups, each by dice of its own and behind those before it: a kind of a later group changes neither
 * the faults of an earlier one nor their indices.
 */
export const groups = ['faults', 'request faults', 'disk faults', 'slander'] as const;

export function groupOf(kind: FaultKind): (typeof groups)[number] {
  if (kind === 'slander') return kind;
  return kind === 'disks' ? 'disk faults' : ofRequests.has(kind) ? 'request faults' : 'faults';
}

/** Who is started again, 10 s later, has two seconds until the next death to come to know the others. */
const deathEveryMs = 6_000;
const deathMs = 10_000;
/** After the end of any run, ms. */
const never = 1e12;

/** Of seeds: every restart of theirs meets an empty data directory, as that of an instance without a disk of its own does. */
const disklessShare = 0.2;

/** A kind is in a seed's swarm as often as not; a seed of a quiet mood has few. */
const moods = [0.08, 0.2, 0.35, 0.5];

export function drawFaults(
  dice: Dice,
  span: { readonly from: number; readonly until: number },
  allowed: readonly FaultKind[],
): Fault[] {
  const mood = dice.pick(moods);
  const minutes = (span.until - span.from) / 60_000;
  const drawn: Omit<Fault, 'index'>[] = [];
  for (const kind of allowed) {
    const its = dice.for(kind);
    if (!its.hits(mood)) continue;
    const { perMinute, ms } = habits[kind];
    const count = Math.ceil(its.unit() * 2 * perMinute * minutes);
    for (let i = 0; i < count; i++) {
      const at = Math.round(its.between(span.from, span.until));
      // Short ones are the more frequent, by the square.
      const length = ms[0] + its.unit() ** 2 * (ms[1] - ms[0]);
      drawn.push({ kind, at, until: Math.round(Math.min(at + length, span.until)), seed: its.seed() });
    }
  }
  return drawn.sort((a, b) => a.at - b.at || a.seed - b.seed).map((fault, index) => ({ index, ...fault }));
}

/** Disks are lost now and then, or at every restart of the run. */
export function drawDisks(
  dice: Dice,
  span: { readonly from: number; readonly until: number },
  allowed: readonly FaultKind[],
): Fault[] {
  const every = dice.for('every');
  if (!allowed.includes('disks') || !every.hits(disklessShare)) return drawFaults(dice, span, allowed);
  return [{ index: 0, kind: 'disks', at: span.from, until: never, seed: every.seed() }];
}

/**
 * For times: deaths of a large cluster at rest, one after another, two of the process to one of its machine. A process is
 * started again and a machine is not: more births than these would count as calls of every day.
 */
export function planDeaths(dice: Dice, span: { readonly from: number; readonly until: number }): Fault[] {
  const planned: Fault[] = [];
  for (let at = span.from; at + deathMs < span.until; at += deathEveryMs) {
    const index = planned.length;
    const kind = index % 3 === 2 ? 'power' : 'kill';
    const until = kind === 'power' ? never : at + deathMs;
    planned.push({ index, kind, at, until, seed: dice.seed() });
  }
  return planned;
}
