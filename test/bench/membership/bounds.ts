/** What one run reports, and what it must hold. */
import type { Spread } from './numbers.ts';

type Kinds<T> = { readonly 'stop0.6': T; readonly stop4: T; readonly stop12: T; readonly hogs: T };
export type FalseDeaths = Kinds<number>;
type Cost = { readonly bytesPerSecond: number | null; readonly corePercent: number };

/** Times in milliseconds. null: not measured here, for a reason that was printed. */
export type Report = {
  readonly nodes: number;
  readonly ours: {
    readonly kill: Spread;
    readonly hostOff: Spread | null;
    readonly recordChange: Pick<Spread, 'p50' | 'p99'>;
    readonly falseDead: FalseDeaths;
    readonly cost: Cost;
    readonly partitionHealed: number | null;
  };
  readonly serf: { readonly kill: Spread; readonly falseDead: FalseDeaths; readonly cost: Cost } | null;
};

/** What is held against a run beside its figures. */
export type Beside = {
  /** Times that one held another one dead, and nothing had been done to either; while others were lost. */
  readonly bystandersDead: number;
  /** Times that not all saw one another again, after a loss or a stress. */
  readonly unsettled: number;
  /** Whether the halves of the network lost sight of each other; null: it was not cut. */
  readonly partitionBit: boolean | null;
};

/** null: nobody knows, because it was not measured here. */
type Bound = readonly [what: string, holds: boolean | null];

export const brokenBounds = (report: Report, beside: Beside): readonly string[] =>
  boundsOf(report, beside).flatMap(([bound, holds]) => (holds === false ? bound : []));

/** Not broken, and not held either: whoever reads the exit code has to be told. */
export const unmeasuredBounds = (report: Report, beside: Beside): readonly string[] =>
  boundsOf(report, beside).flatMap(([bound, holds]) => (holds === null ? bound : []));

function boundsOf({ ours }: Report, { bystandersDead, unsettled, partitionBit }: Beside): readonly Bound[] {
  const within = (value: number | null, bound: number): boolean | null =>
    value === null ? null : value <= bound;
  return [
    ['a killed process is known to all within 100 ms', within(ours.kill.p99, 100)],
    ['a dead host is known to all within 1,000 ms', within(ours.hostOff?.p99 ?? null, 1_000)],
    ['a changed record is known to all within 150 ms', within(ours.recordChange.p99, 150)],
    ['nobody that lives is held dead', Object.values(ours.falseDead).every((count) => count === 0)],
    ['nobody is held dead for the loss of another', bystandersDead === 0],
    ['all see one another again after each loss', unsettled === 0],
    ['a node sends at most 4 kB/s', within(ours.cost.bytesPerSecond, 4_000)],
    ['the membership thread takes at most 0.5 % of a core', within(ours.cost.corePercent, 0.5)],
    ['the halves of a cut network lose sight of each other', partitionBit],
    ['a partition is healed within 3,000 ms', within(ours.partitionHealed, 3_000)],
  ];
}

/** The same for a person. */
export function inWords({ nodes, ours, serf }: Report): string {
  const times = (spread: Spread | null): string =>
    spread === null ? 'not measured' : `p50 ${spread.p50}, p99 ${spread.p99}, max ${spread.max} ms`;
  const deaths = (counts: FalseDeaths): string =>
    Object.entries(counts)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ');
  const cost = ({ bytesPerSecond, corePercent }: Cost): string =>
    `${bytesPerSecond ?? '?'} B/s sent, ${corePercent} % of a core`;
  const rows = [
    ['nodes', `${nodes}`],
    ['kill -9', times(ours.kill)],
    ['  serf', serf === null ? 'not measured' : times(serf.kill)],
    ['host off', times(ours.hostOff)],
    ['record changed', `p50 ${ours.recordChange.p50}, p99 ${ours.recordChange.p99} ms`],
    ['false deaths', deaths(ours.falseDead)],
    ['  serf', serf === null ? 'not measured' : deaths(serf.falseDead)],
    ['cost of a node', cost(ours.cost)],
    ['  serf', serf === null ? 'not measured' : cost(serf.cost)],
    ['partition healed', ours.partitionHealed === null ? 'not measured' : `${ours.partitionHealed} ms`],
  ];
  return rows.map(([what = '', how]) => `${what.padEnd(18)}${how}\n`).join('');
}
