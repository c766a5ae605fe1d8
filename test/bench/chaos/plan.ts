/** What can happen in a run, and how a run is laid out so that it means something and ends within ten minutes. */

export const faultNames = ['kill', 'freeze', 'notice'] as const;
export type FaultName = (typeof faultNames)[number];

export type Plan = {
  readonly nodes: number;
  /** The first so many are never hit: clients that cannot resume are connected there. */
  readonly spared: number;
  /** How often it happens, unless `--times` says otherwise. */
  readonly times: number;
  /** The next one waits while so many nodes are away: capacity comes back before it is taken again. */
  readonly awayMax: number;
  /** Between two of them, once there is room, ms: the mean of an exponential distribution. */
  readonly pauseMs: number;
  /** How long it lasts where it is taken back, ms. */
  readonly lastsMs: { readonly min: number; readonly max: number };
};

/** Six nodes are two in each zone of the local cloud; two away leave one for each zone at least once in a while. */
const usual = { nodes: 6, spared: 1, awayMax: 2, pauseMs: 400, lastsMs: { min: 0, max: 0 } };

export const plans: Readonly<Record<FaultName, Plan>> = {
  kill: { ...usual, times: 120 },
  // Longer than the silence after which a stream is moved, and long enough for membership to see both ends of it.
  freeze: { ...usual, times: 100, lastsMs: { min: 2_500, max: 4_500 } },
  notice: { ...usual, times: 100 },
};

/** Streams begin as a Poisson process; three seconds long, some fifteen run at a time, three on each node. */
export const load = {
  streamsPerSecond: 5,
  tokens: { min: 60, max: 160 },
  tokenMs: 30,
} as const;

/** Of each fault: so many streams begin, and so many that run are hit, on average. */
export const perFault = { started: 5, hit: 1 } as const;

/** A notice with time left, as a share of EC2's two minutes: the end comes when the node has left, not before. ms */
export const noticeMs = 20_000;
