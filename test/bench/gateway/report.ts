/** What a run found, as a program reads it (`--json`) and as a person does, and what it has to be. */
import { mean, rounded, spread } from '../membership/numbers.ts';
import type { Spent } from './load.ts';
import type { Name } from './site.ts';

export type Cost = {
  /** CPU time of an answer in one piece, µs. */
  readonly usPerRequest: number;
  /** CPU time of one event of a stream, µs. */
  readonly usPerChunk: number;
  readonly requestsPerCoreSecond: number;
  /** To the first token, beside the engine asked directly, ms. */
  readonly added: { readonly p50: number; readonly p99: number };
  /** Resident while a thousand streams run, MB. */
  readonly rssMb: number;
  /** Of the nodes beside the engines, for the same events, µs. */
  readonly servingUsPerChunk?: number;
  /** Of each node that holds a copy of the journal, µs. */
  readonly replicaUsPerChunk?: number;
};

/** null: it was not there. */
export type Report = Readonly<Record<Name, Cost | null>>;

export type Findings = {
  /** By round. `cost`: of the gateway, and for ours of those beside the engines and of those that hold copies. */
  readonly whole: readonly Spent[];
  readonly streams: readonly Spent[];
  readonly firstMs: readonly number[];
  readonly rssMb: number;
};

export function costOf({ whole, streams, firstMs, rssMb }: Findings, directMs: readonly number[]): Cost {
  const usPerRequest = per(whole, 0);
  const [direct, through] = [spread(directMs), spread(firstMs)];
  const added = { p50: rounded(through.p50 - direct.p50, 2), p99: rounded(through.p99 - direct.p99, 2) };
  const rest =
    streams[0]!.cost.length === 1
      ? {}
      : {
          servingUsPerChunk: rounded(per(streams, 1), 1),
          replicaUsPerChunk: rounded(per(streams, 2) / 2, 1),
        };
  return {
    usPerRequest: rounded(usPerRequest),
    usPerChunk: rounded(per(streams, 0), 1),
    requestsPerCoreSecond: rounded(1e6 / usPerRequest),
    ...{ added, rssMb: rounded(rssMb), ...rest },
  };
}

const per = (rounds: readonly Spent[], group: number): number =>
  mean(rounds.map(({ units, cost }) => cost[group]! / units));

/** Beside vLLM's router, in the same run. */
const bounds = { usPerRequest: 1, usPerChunk: 1.2, rssMb: 2 } as const;
const addedMsMax = 5;

export function brokenBounds({ synkti, vllmRouter }: Report): readonly string[] {
  if (synkti === null || vllmRouter === null) return ['synkti and vllm-router both run'];
  const beside = (Object.keys(bounds) as (keyof typeof bounds)[])
    .filter((what) => !(synkti[what] <= bounds[what] * vllmRouter[what]))
    .map(
      (what) => `${what} is at most ${bounds[what]} of vllm-router's: ${synkti[what]}, ${vllmRouter[what]}`,
    );
  const late =
    synkti.added.p99 <= addedMsMax ? [] : [`99 of 100 first tokens come ${addedMsMax} ms later at most`];
  return [...beside, ...late];
}

export function inWords(report: Report): string {
  const rows = (Object.keys(report) as Name[]).map((name) => {
    const cost = report[name];
    if (cost === null) return `${name.padEnd(12)}not there\n`;
    const { usPerRequest, usPerChunk, added, rssMb } = cost;
    const parts = `${usPerRequest} us a request, ${usPerChunk} us a chunk, ${rssMb} MB`;
    return `${name.padEnd(12)}${parts}, first token ${added.p50} ms later (p99 ${added.p99})\n`;
  });
  const { servingUsPerChunk, replicaUsPerChunk } = report.synkti ?? {};
  return `${rows.join('')}besides, a chunk takes ${servingUsPerChunk} us beside the engine and ${replicaUsPerChunk} us at each copy\n`;
}
