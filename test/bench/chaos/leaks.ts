/** What a soak finds left over in the nodes that lived through it, and what may be left. */
import type { Vitals } from './vitals.ts';

/** Of one node, which is the one that grew most. */
export type Growth = { readonly from: number; readonly to: number };

export type SoakReport = {
  readonly minutes: number;
  readonly kills: number;
  readonly streams: number;
  readonly cut: number;
  readonly wrongTokens: number;
  readonly doubledTokens: number;
  readonly declared?: number | undefined;
  readonly resumed: number;
  readonly moved: number;
  readonly rssMb: Growth;
  readonly sockets: Growth;
  /** On the node that keeps most; null: one does not say. */
  readonly journals: number | null;
};

/** A heap breathes; a leak of a few kB for each of six thousand streams is more than this share. */
const growthMax = 0.15;
/** Connections to members that came since, and those of who looks. */
const socketsMax = 12;

export function brokenBounds(report: SoakReport): readonly string[] {
  const { cut, wrongTokens, doubledTokens, rssMb, sockets, journals, kills, streams } = report;
  const bounds: readonly (readonly [what: string, holds: boolean])[] = [
    ['no stream is cut', cut === 0],
    ['no token is wrong or doubled', wrongTokens + doubledTokens === 0],
    ['somebody was killed', kills > 0],
    ['somebody asked', streams > 0],
    ['memory is flat', rssMb.to <= rssMb.from * (1 + growthMax)],
    ['no socket is left over', isBack(sockets)],
    ['no journal is left over', journals === 0],
  ];
  return bounds.filter(([, holds]) => !holds).map(([bound]) => bound);
}

/** Nothing of streams that have ended is held any more. */
export const isQuiet = (before: readonly Vitals[], now: readonly Vitals[]): boolean =>
  journalsOf(now) === 0 && isBack(socketGrowth(before, now));

const isBack = ({ from, to }: Growth): boolean => to <= from + socketsMax;

/** Each node against itself: what one lost is nothing that another one may keep. */
export function socketGrowth(before: readonly Vitals[], after: readonly Vitals[]): Growth {
  const nodes = before.map(({ sockets }, i) => ({ from: sockets, to: after[i]?.sockets ?? Infinity }));
  return nodes.reduce((worst, node) => (node.to - node.from > worst.to - worst.from ? node : worst));
}

export function journalsOf(nodes: readonly Vitals[]): number | null {
  const told = nodes.flatMap(({ journals }) => journals ?? []);
  return told.length < nodes.length ? null : Math.max(...told);
}

/** From the second quarter, when everything has been compiled and met once, to the last: the medians of both. */
export function memoryGrowth(looks: readonly (readonly Vitals[])[]): Growth {
  const quarter = Math.floor(looks.length / 4);
  const nodes = Array.from({ length: looks[0]?.length ?? 0 }, (_, node) => {
    const one = looks.map((vitals) => vitals[node]?.rssMb ?? NaN);
    return { from: median(one.slice(quarter, 2 * quarter)), to: median(one.slice(3 * quarter)) };
  });
  return nodes.reduce((worst, node) => (node.to / node.from > worst.to / worst.from ? node : worst));
}

const median = (values: readonly number[]): number =>
  Math.round([...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN);
