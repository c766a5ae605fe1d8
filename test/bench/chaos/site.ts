/** The cluster of a run as the faults and the clients see it: who is there, who serves, and what was said. */
import { randomInt } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { needDevState } from '../../../src/cli/dev/state.ts';
import { startDevCluster, type DevCluster, type DevFact, type DevNode } from '../../cluster/dev-cluster.ts';
import { membersOf } from '../../demo/observe.ts';
import type { Program } from '../../lab/program.ts';
import { load, type Plan } from './plan.ts';

export type Site = {
  readonly cluster: DevCluster;
  /** Base URLs of those that are never hit. */
  readonly entries: readonly string[];
  /** Facts that streams were told by, of all nodes. */
  readonly facts: readonly StreamFact[];
  /** Who may be hit, and takes requests as every spared node sees it. */
  victims(): Promise<readonly DevNode[]>;
  close(): Promise<void>;
};

export type StreamFact = {
  readonly fact: 'stream.moved' | 'stream.failed' | 'stream.entryLost';
  readonly request: string;
  readonly cause?: string;
  /** Carried over; 0: the request began again. */
  readonly tokens: number;
};

/** Until every node knows every other one, ms: starting six processes on two busy cores. */
const readyMs = 90_000;
/** Until Auto Scaling replaces what is lost, ms: long enough for the number of the lost one to be free again. */
const replaceAfterMs = 500;

/** `factsFile`: everything that nodes say goes there as well; null: nowhere. */
export async function openSite(plan: Plan, program: Program, factsFile: string | null): Promise<Site> {
  const facts: StreamFact[] = [];
  const onFact = (said: DevFact): void => {
    if (factsFile !== null) appendFileSync(factsFile, `${JSON.stringify(said)}\n`);
    if (said.fact === 'stream.moved' || said.fact === 'stream.failed' || said.fact === 'stream.entryLost')
      facts.push(said as unknown as StreamFact);
  };
  const engine = ['--engine-args', `--token-ms ${load.tokenMs}`];
  const cluster = await startDevCluster({
    ...{ nodes: plan.nodes, readyMs, program, onFact },
    args: ['--replace-after', `${replaceAfterMs}ms`, '--', ...engine],
  });
  const spared = cluster.nodes.slice(0, plan.spared);
  return {
    cluster,
    entries: spared.map(({ api }) => `${api}/v1`),
    facts,
    victims: async () => {
      const views = await Promise.all(spared.map(membersOf));
      const { nodes } = await needDevState(cluster.dir);
      const serves = (view: (typeof views)[number], place: DevNode): boolean =>
        view.some(
          ({ id, health, phase, engine }) =>
            id === place.id && health === 'alive' && phase === 'serving' && engine === 'ready',
        );
      return nodes.filter(
        (place) => !spared.some(({ id }) => id === place.id) && views.every((view) => serves(view, place)),
      );
    },
    close: cluster.stop,
  };
}

export const anySeed = (): number => randomInt(2 ** 31);
