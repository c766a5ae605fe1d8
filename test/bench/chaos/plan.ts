/** What can happen in a run, and how a run is laid out so that it means something and ends within ten minutes. */

export const faultNames = ['kill', 'freeze', 'drop', 'entry', 'pair', 'notice'] as const;
export type FaultName = (typeof faultNames)[number];

/** `plain`: chats whose every token follows from their prompt. `mixed`: whatever else a client may ask for. */
export const suites = ['plain', 'mixed'] as const;
export type Suite = (typeof suites)[number];

export type Plan = {
  /** Two in each of three zones. */
  readonly nodes: number;
  /** The first so many are never hit: there clients are connected that know one node only. 0: all clients know all nodes. */
  readonly spared: number;
  /** How often it happens, unless `--times` says otherwise. */
  readonly times: number;
  /** The next one waits while so many nodes are away: capacity comes back before it is taken again. */
  readonly awayMax: number;
  /** Hit at once. */
  readonly victims: number;
  /** Between two of them, once there is room, ms: the mean of an exponential distribution. */
  readonly pauseMs: number;
  /** How long it lasts where it is taken back, ms. */
  readonly lastsMs: { readonly min: number; readonly max: number };
};

const usual = {
  ...{ nodes: 6, spared: 1, times: 100, awayMax: 2, victims: 1, pauseMs: 400 },
  lastsMs: { min: 0, max: 0 },
};
/** Longer than the silence after which a stream is moved, and long enough for membership to see both ends of it. */
const passing = { min: 2_500, max: 4_500 };

export const plans: Readonly<Record<FaultName, Plan>> = {
  kill: usual,
  freeze: { ...usual, lastsMs: passing },
  drop: { ...usual, lastsMs: passing },
  entry: { ...usual, spared: 0 },
  pair: { ...usual, spared: 0, victims: 2 },
  notice: { ...usual, spared: 0 },
};

/** Streams begin as a Poisson process; three seconds long, some fifteen run at a time, three on each node. */
export const load = {
  streamsPerSecond: 5,
  tokens: { min: 60, max: 160 },
  tokenMs: 30,
} as const;

/** What is asked of tools and reasoning makes sense to an engine only with parsers for them. */
export const engineArgs = (suite: Suite): string =>
  [
    `--token-ms ${load.tokenMs}`,
    ...(suite === 'mixed'
      ? ['--enable-auto-tool-choice --tool-call-parser hermes --reasoning-parser qwen3 --markup']
      : []),
  ].join(' ');

/** Of each fault: so many streams begin, and so many that run are hit, on average. */
export const perFault = { started: 5, hit: 1 } as const;

/** Shorter than half of the streams, so that those whose clients are connected there outlive the node, ms. */
export const noticeMs = 3_000;
