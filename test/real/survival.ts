/**
 * Streams of every kind through three nodes with a real vLLM each, which are stopped, killed and interrupted while they
 * answer: each stream has to end as the same question did when nothing was wrong. Engines are slowed by pulses, so that
 * what befalls a node befalls it in the middle of answers. One cluster for each model, one after the other.
 */
import { randomUUID } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { clusterMark } from '../../src/cli/dev/environment.ts';
import { durableFetch } from '../../src/client/index.ts';
import { processes } from '../../src/os/processes.ts';
import { listen, nothingHeard, type Heard } from '../bench/chaos/heard.ts';
import { judge } from '../bench/chaos/mixed.ts';
import { clientOf } from '../bench/chaos/traffic.ts';
import { startDevCluster, type DevCluster, type DevFact, type DevNode } from '../cluster/dev-cluster.ts';
import { until } from '../conformance/until.ts';
import { membersOf, statusOf } from '../demo/observe.ts';
import { partsOf, pulse } from './engine-processes.ts';
import type { Progress } from './install.ts';
import { questionsOf, stopping, type Asked, type ModelName } from './questions.ts';
import type { Served } from './vllm.ts';
import { inflict, isFinal, isKill, keepsEntry, rounds, type Round } from './wounds.ts';

/** One question, put while something was wrong. */
export type Told = {
  readonly question: string;
  readonly round: Round;
  /** Why it did not end as it should; null: it did. */
  readonly cut: string | null;
  readonly wrong: number;
  /** In words, where it is not what was said undisturbed. */
  readonly how: string | null;
  readonly resumed: number;
  /** In which ways it went on elsewhere. */
  readonly ways: readonly string[];
};

export type Survived = {
  readonly told: readonly Told[];
  /** Of signals and reclaims that took something down for good. */
  readonly killed: number;
  /** In words. */
  readonly left: readonly string[];
};

type Question = Asked & { readonly undisturbed: Heard };
type Scene = {
  readonly name: ModelName;
  readonly cluster: DevCluster;
  readonly questions: readonly Question[];
  readonly facts: readonly DevFact[];
  readonly gone: Set<string>;
  readonly report: Progress;
  readonly signal: AbortSignal;
};

const nodes = 3;
/** Three at once on two cores take minutes. */
const readyMs = 400_000;
/** One beside two that serve takes half a minute, and many times that where others use the machine. */
const backMs = 400_000;
/** So much of all answers together is there when it happens. */
const begunShare = 0.3;
/** A stream that hangs is cut. */
const streamMs = 150_000;
/** What a node says arrives a moment later. */
const heardMs = 1_000;

export async function survive(
  name: ModelName,
  served: Served,
  report: Progress,
  signal: AbortSignal,
): Promise<Survived> {
  const facts: DevFact[] = [];
  const engine = ['--engine-command', served.vllm, '--engine-args', served.args.join(' ')];
  report(`starting ${nodes} nodes with the ${name} model, each with its own vLLM`);
  const cluster = await startDevCluster({
    ...{ nodes, readyMs, signal, env: served.env },
    args: ['--engine', 'vllm', '--model', served.model, '--replace-after', '1h', '--', ...engine],
    onFact: (fact) => {
      if (fact.fact === 'stream.moved') facts.push(fact);
      if (fact.fact === 'stream.failed' || fact.fact?.startsWith('engine.') === true)
        report(`node ${fact.node}: ${JSON.stringify(fact)}`);
    },
  });
  const mark = clusterMark(await realpath(cluster.dir));
  let outcome;
  try {
    report(`ready after ${(cluster.readyMs / 1000).toFixed(1)} s`);
    const questions = await undisturbed(name, served.model, cluster, report, signal);
    const gone = new Set<string>();
    outcome = await playAll({ name, cluster, questions, facts, gone, report, signal });
  } finally {
    await cluster.stop();
  }
  const left = (await processes.marked(mark)).map(({ pid, command }) => `process ${pid} ${command}`);
  return { ...outcome, left };
}

/** Each question once, while nothing is wrong. */
async function undisturbed(
  name: ModelName,
  model: string,
  { nodes }: DevCluster,
  report: Progress,
  signal: AbortSignal,
): Promise<readonly Question[]> {
  const answer = async (asked: Asked, i: number): Promise<Question> => {
    const heard = nothingHeard();
    const client = clientOf(`${nodes[i % nodes.length]!.api}/v1`);
    const limit = AbortSignal.any([signal, AbortSignal.timeout(streamMs)]);
    await listen(client, { ...asked, id: randomUUID(), signal: limit }, heard);
    const said = [...heard.choices.values()];
    const shape = said.map(({ ids, finishes }) => `${ids.length} tokens, ${finishes.join()}`).join('; ');
    report(`undisturbed: ${asked.name} (${heard.promise}): ${shape}`);
    return { ...asked, undisturbed: counted(heard) };
  };
  const first = await Promise.all(questionsOf(name, model).map(answer));
  const heard = first.map((question) => question.undisturbed);
  return [...first, await answer(stopping(name, first, heard), 0)];
}

async function playAll(scene: Scene): Promise<Omit<Survived, 'left'>> {
  const told: Told[] = [];
  const all = rounds[scene.name];
  for (const round of all) told.push(...(await play(scene, round)));
  return { told, killed: all.filter(isKill).length };
}

async function play(scene: Scene, round: Round): Promise<readonly Told[]> {
  const { cluster, report, signal } = scene;
  const victim = cluster.nodes[round.victim]!;
  const there = cluster.nodes.filter(({ id }) => !scene.gone.has(id));
  await recovered(there, victim, signal);
  const [own, others] = await Promise.all([
    partsOf(cluster.dir, victim, 'core'),
    Promise.all(there.filter((node) => node !== victim).map((node) => partsOf(cluster.dir, node, 'core'))),
  ]);
  const pulses = pulse([...own, ...others.flat()]);
  let run: Run;
  try {
    const stay = keepsEntry(round) ? there : there.filter((node) => node !== victim);
    run = begin(scene, round, { lost: urlOf(victim), stay: stay.map(urlOf) });
    await Promise.race([run.done, begun(scene, run.heard)]);
    report(`${round.name}: node ${victim.node} ${await busyness(victim)}`);
    if (isFinal(round)) scene.gone.add(victim.id);
    for (const engine of own) pulses.spare(engine);
    await inflict(round.wound, cluster, victim);
  } finally {
    await pulses.stop();
  }
  const told = await run.done;
  await pause(heardMs);
  return told.map(({ id, ...one }) => {
    const moves = scene.facts.filter((moved) => moved['request'] === id && carriesOn(moved));
    const ways = [...new Set(moves.map(({ way }) => String(way)))];
    const fate = [...(one.resumed > 0 ? ['resumed'] : []), ...ways].join(', ');
    report(`  ${one.question}: ${fate || 'stayed'}: ${one.cut ?? one.how ?? 'equal'}`);
    return { ...one, round, ways };
  });
}

/** Without a token it was asked as for the first time, which shows nothing; of what is replayed nobody counts any. */
const carriesOn = ({ way, tokens }: DevFact): boolean => way === 'replay' || Number(tokens) > 0;

/** In words. It is only to be read: a node that is too busy to answer is hit all the same. */
async function busyness(node: DevNode): Promise<string> {
  try {
    const { streams } = await statusOf(node);
    return `serves ${streams.serving}, ${streams.entry} entered there`;
  } catch (error) {
    return `does not say what it serves: ${(error as Error).message}`;
  }
}

/** The victim and one more serve, and all that are there say so. */
async function recovered(there: readonly DevNode[], victim: DevNode, signal: AbortSignal): Promise<void> {
  const holds = async (): Promise<boolean> => {
    signal.throwIfAborted();
    try {
      const views = await Promise.all(there.map(servingFor));
      return views.every((view) => view.has(victim.id) && there.filter(({ id }) => view.has(id)).length > 1);
    } catch {
      return false; // A daemon that begins anew does not answer yet.
    }
  };
  if (!(await until(holds, backMs))) throw new Error(`node ${victim.node} never serves beside another one`);
}

async function servingFor(observer: DevNode): Promise<ReadonlySet<string>> {
  const serving = (await membersOf(observer)).filter(
    ({ health, phase, engine }) => health === 'alive' && phase === 'serving' && engine === 'ready',
  );
  return new Set(serving.map(({ id }) => id));
}

/** Base URLs. */
type Entries = { readonly lost: string; readonly stay: readonly string[] };

const urlOf = ({ api }: DevNode): string => `${api}/v1`;

type Run = {
  readonly heard: readonly Heard[];
  readonly done: Promise<readonly (Omit<Told, 'round' | 'ways'> & { readonly id: string })[]>;
};

/**
 * All questions at once, each by a client of its own: one that knows a single node, or, where a node with clients is
 * lost, one that is connected there and knows all.
 */
function begin({ questions, signal }: Scene, { entry }: Round, { lost, stay }: Entries): Run {
  const heard = questions.map(() => nothingHeard());
  const done = questions.map(async ({ name, undisturbed, endpoint, body }, i) => {
    const id = randomUUID();
    let resumed = 0;
    let cut: string | null = null;
    const onResume = (): void => void resumed++;
    const durable = durableFetch([lost, ...stay], { fetch: firstAt(lost), onResume });
    const client = entry ? clientOf(lost, durable) : clientOf(stay[i % stay.length]!);
    const limit = AbortSignal.any([signal, AbortSignal.timeout(streamMs)]);
    try {
      await listen(client, { endpoint, body, id, signal: limit }, heard[i]!);
    } catch (error) {
      cut = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    }
    const { wrong, doubled, how } = judge(counted(heard[i]!), undisturbed, cut === null);
    return { id, question: name, cut, wrong: wrong + doubled, how: how ?? null, resumed };
  });
  return { heard, done: Promise.all(done) };
}

/** Clients spread over their nodes: for one that is to lose its node, the others are there only to go on at. */
const firstAt =
  (first: string): typeof fetch =>
  (input, init) => {
    const isElsewhere = !String(input).startsWith(first);
    const isNew = !new Headers(init?.headers).has('last-event-id');
    return isElsewhere && isNew ? Promise.reject(new TypeError('not there')) : fetch(input, init);
  };

/** How many tokens were reasoning only the engine's parser knows, so after a move nobody tells. */
function counted(heard: Heard): Heard {
  if (heard.usage === null) return heard;
  const { completion_tokens_details: _, ...usage } = heard.usage as Readonly<Record<string, unknown>>;
  return { ...heard, usage };
}

async function begun({ questions, signal }: Scene, heard: readonly Heard[]): Promise<void> {
  const lengthOf = ({ choices }: Heard): number =>
    [...choices.values()].reduce((sum, { ids }) => sum + ids.length, 0);
  const shares = (): readonly number[] =>
    heard.map((one, i) => lengthOf(one) / Math.max(1, lengthOf(questions[i]!.undisturbed)));
  while (shares().reduce((sum, share) => sum + share, 0) < begunShare * heard.length) {
    signal.throwIfAborted();
    await pause(10);
  }
}
