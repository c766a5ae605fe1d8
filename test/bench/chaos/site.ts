/**
 * The cluster of a run as the faults and the clients see it: who is there, who serves, what was said, what can be done
 * to a member. Either a development cluster, whose Auto Scaling replaces what is lost, or, for packets that vanish,
 * daemons in network namespaces.
 */
import { appendFileSync } from 'node:fs';
import { needDevState } from '../../../src/cli/dev/state.ts';
import { startDevCluster, type DevFact, type DevNode } from '../../cluster/dev-cluster.ts';
import { membersOf } from '../../demo/observe.ts';
import type { Ground } from '../../lab/enclosure.ts';
import { openLab } from '../../lab/lab.ts';
import type { Program } from '../../lab/program.ts';
import { engineArgs, noticeMs, type Plan, type Suite } from './plan.ts';

export type Order = 'kill' | 'freeze' | 'thaw' | 'interrupt' | 'off' | 'on';
export type Member = Pick<DevNode, 'node' | 'id' | 'api' | 'control' | 'pid'>;

export type Site = {
  /** Those that are never hit. */
  readonly spared: readonly Member[];
  /** Base URLs of those, for clients that know one node only. */
  readonly entries: readonly string[];
  /** Base URLs of all, which those have that come in the place of others. */
  readonly all: readonly string[];
  /** What was said of streams, by all nodes. */
  readonly facts: readonly StreamFact[];
  /** When it last said that its engine was empty in a drain, performance.now(); null: it has not. */
  emptiedAt(member: Member): number | null;
  /** Who may be hit, and takes requests as every node sees it that is asked. */
  victims(): Promise<readonly Member[]>;
  /** Resolves when it is ordered; what was ordered may go on after that. */
  order(what: Order, victim: Member): Promise<void>;
  close(): Promise<void>;
};

const heardOf = [
  'stream.moved',
  'stream.resumed',
  'stream.unanswered',
  'stream.finished',
  'stream.failed',
  'stream.entryLost',
] as const;

export type StreamFact = {
  readonly fact: (typeof heardOf)[number];
  readonly request: string;
  /** Of several, each of which is a leg of its own. */
  readonly choice?: number;
  readonly cause?: string;
  /** That said nothing. */
  readonly member?: string;
  /** How it went on; in several ways, where an entry node goes on with several choices. */
  readonly way?: string;
  /** Carried over; 0: the request began again. */
  readonly tokens: number;
};

type Options = {
  readonly plan: Plan;
  readonly suite: Suite;
  readonly program: Program;
  /** Everything that nodes say goes there as well; null: nowhere. */
  readonly factsFile: string | null;
};

/** Until every node knows every other one, ms: starting six processes on two busy cores. */
const readyMs = 90_000;
/** Until Auto Scaling replaces what is lost, ms: long enough for the number of the lost one to be free again. */
const replaceAfterMs = 500;
/** The local cloud's own answer, ms. */
const orderMs = 10_000;
/** What a member says of its view, ms; who is frozen says nothing. */
const answerMs = 2_000;

export async function openDevSite({ plan, suite, program, factsFile }: Options): Promise<Site> {
  const { facts, hear, emptiedAt } = hearing(factsFile);
  const flags = ['--engine-args', engineArgs(suite), ...talk(suite, factsFile)];
  const cluster = await startDevCluster({
    ...{ nodes: plan.nodes, readyMs, program, onFact: hear },
    args: ['--replace-after', `${replaceAfterMs}ms`, '--', ...flags],
  });
  return {
    ...known(cluster.nodes, plan),
    ...{ facts, emptiedAt },
    victims: async () => serving((await needDevState(cluster.dir)).nodes, plan),
    order: async (what, { id: instance }) => {
      if (what === 'off' || what === 'on') throw new Error(`${what}: there are no wires here`);
      const request = what === 'interrupt' ? { instance, noticeMs } : { instance };
      await cluster.cloud(what, request, AbortSignal.timeout(orderMs));
    },
    close: cluster.stop,
  };
}

/** Only in an enclosure. */
export async function openLabSite(
  { plan, suite, program, factsFile }: Options,
  ground: Ground,
): Promise<Site> {
  if (!ground.isEnclosed) throw new Error(`no packet can be made to vanish: ${ground.why}`);
  const engine = ['--engine', 'simulated', '--engine-args', engineArgs(suite)];
  const flags = (): readonly string[] => [...engine, ...talk(suite, factsFile), '--discovery', '2s'];
  const lab = await openLab({ nodes: plan.nodes, ground, program, flags, logs: null });
  const { facts, hear, emptiedAt } = hearing(factsFile);
  let read = 0;
  const catchUp = (): void => {
    for (; read < lab.witness.said.length; read++) {
      const { by, line } = lab.witness.said[read]!;
      hear({ node: by, ...(JSON.parse(line) as object) });
    }
  };
  const { wires } = lab;
  return {
    ...known(lab.daemons, plan),
    emptiedAt,
    get facts() {
      catchUp();
      return facts;
    },
    victims: () => serving(lab.daemons, plan),
    order: async (what, { node }) => {
      if (wires === null || (what !== 'off' && what !== 'on'))
        throw new Error(`${what}: only wires are cut here`);
      await wires.host(node, what);
    },
    close: lab.close,
  };
}

/** Who keeps what they say wants all of it; and of what is asked again from its beginning only finer lines tell. */
const talk = (suite: Suite, factsFile: string | null): readonly string[] =>
  factsFile === null && suite === 'plain' ? [] : ['--log-level', 'debug'];

function hearing(factsFile: string | null) {
  const facts: StreamFact[] = [];
  // By its number: whoever takes that over has to start first, and says this at its own end only.
  const emptied = new Map<unknown, number>();
  const hear = (said: DevFact): void => {
    if (factsFile !== null) appendFileSync(factsFile, `${JSON.stringify(said)}\n`);
    if (said.fact === 'drain.empty') emptied.set(said.node, performance.now());
    if (heardOf.some((fact) => fact === said.fact)) facts.push(said as unknown as StreamFact);
  };
  return { facts, hear, emptiedAt: ({ node }: Member): number | null => emptied.get(node) ?? null };
}

const sparedOf = (nodes: readonly Member[], { spared }: Plan): readonly Member[] => nodes.slice(0, spared);

function known(nodes: readonly Member[], plan: Plan): Pick<Site, 'spared' | 'entries' | 'all'> {
  const spared = sparedOf(nodes, plan);
  const urls = (some: readonly Member[]): readonly string[] => some.map(({ api }) => `${api}/v1`);
  return { spared, entries: urls(spared), all: urls(nodes) };
}

/** Those that everybody takes for serving who serves itself and is asked: who is never hit, else all. */
async function serving(nodes: readonly Member[], plan: Plan): Promise<readonly Member[]> {
  const spared = sparedOf(nodes, plan);
  const asked = plan.spared === 0 ? nodes : spared;
  const views = (await Promise.all(asked.map(viewOf))).filter((view) => view !== null);
  if (views.length < asked.length - plan.awayMax) return [];
  return nodes.filter(
    ({ id }) => !spared.some((one) => one.id === id) && views.every((view) => view.has(id)),
  );
}

/** Whom it takes for serving; null: it does not answer, or does not serve itself. */
async function viewOf(member: Member): Promise<ReadonlySet<string> | null> {
  try {
    const view = new Set(
      (await membersOf(member, { withinMs: answerMs })).filter(isServing).map(({ id }) => id),
    );
    return view.has(member.id) ? view : null;
  } catch {
    return null; // Killed, frozen, or not yet there.
  }
}

const isServing = ({ health, phase, engine }: Awaited<ReturnType<typeof membersOf>>[number]): boolean =>
  health === 'alive' && phase === 'serving' && engine === 'ready';
