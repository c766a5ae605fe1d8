/**
 * A cluster whose nodes each supervise a real vLLM, one of them interrupted while all are answering: every stream
 * goes on, with the very ids of an undisturbed run, and nothing is left on the machine afterwards.
 */
import { readdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { startDevCluster, type DevCluster, type DevFact, type DevNode } from '../cluster/dev-cluster.ts';
import { until } from '../conformance/until.ts';
import { statusOf, watchCounter } from '../demo/observe.ts';
import { isAlive } from './cache.ts';
import type { Progress } from './install.ts';
import { familyOf, leftBehind, sharedMemoryFiles, type Process } from './leftovers.ts';
import { startStreams, wrongTokens, type Streaming } from './streams.ts';

type Report = {
  readonly engine: 'vllm';
  readonly nodes: number;
  readonly streams: number;
  readonly finished: number;
  readonly moved: number;
  readonly wrongTokens: number;
  readonly readySeconds: number;
  readonly interruption: { readonly lost: number };
};

/** The report, and in words what of it must not be. */
type Outcome = { readonly report: Report; readonly broken: readonly string[] };

/** Starting several at once on two cores takes minutes. */
const readyMs = 600_000;
/** Five to fifteen seconds of answer with eight streams to an engine. */
const maxTokens = 1_000;
/** So much of all answers together is there when the notice comes: every stream is under way, none is near its end. */
const begunShare = 0.15;
const noticeSeconds = 60;
/** For the local cloud to take an order, ms. */
const orderMs = 60_000;
/** A killed process of gigabytes may take a moment to be gone. */
const goneMs = 30_000;

export async function interruptUnderLoad(
  plan: { readonly nodes: number; readonly streams: number },
  report: Progress,
  signal: AbortSignal,
): Promise<Outcome> {
  const filesBefore = await sharedMemoryFiles();
  report(`starting ${plan.nodes} nodes, each with its own vLLM`);
  // The replacement of the interrupted node would only be one more engine to start.
  const args = ['--engine', 'vllm', '--replace-after', '1h'];
  const goodbyes: DevFact[] = [];
  const onFact = (fact: DevFact): void => void (fact.fact === 'drain.left' && goodbyes.push(fact));
  const cluster = await startDevCluster({ nodes: plan.nodes, readyMs, args, signal, onFact });
  const family: Process[] = [];
  let result;
  try {
    report(`ready after ${(cluster.readyMs / 1000).toFixed(1)} s`);
    family.push(...(await familyOf(process.pid)));
    result = await play(cluster, goodbyes, plan, report, signal);
  } finally {
    await cluster.stop();
  }
  let left: readonly string[] = [];
  await until(async () => (left = await leftBehind(family, filesBefore)).length === 0, goneMs);
  return { report: result.report, broken: [...result.broken, ...left.map((what) => `left behind: ${what}`)] };
}

async function play(
  cluster: DevCluster,
  goodbyes: readonly DevFact[],
  plan: { readonly nodes: number; readonly streams: number },
  report: Progress,
  signal: AbortSignal,
): Promise<Outcome> {
  const model = await servedModel(cluster.nodes[0]!);
  const request = { apis: cluster.nodes.map(({ api }) => api), model, count: plan.streams, maxTokens };
  await warmUp(cluster.nodes, model, signal);

  report(`${plan.streams} streams undisturbed`);
  const undisturbed = startStreams(request, signal);
  await undisturbed.done;
  throwUnlessAllFinished(undisturbed);

  report(`${plan.streams} streams, and one node interrupted`);
  const moved = watchCounter(cluster.nodes, 'synkti_streams_moved_total{cause="drain"}');
  const found = watchCounter(cluster.nodes, 'synkti_drain_generations_total');
  const disturbed = startStreams(request, signal);
  let victim: DevNode, hasLeft;
  try {
    await begun(disturbed, signal);
    const { node, serving } = await busiest(cluster.nodes);
    victim = node;
    report(`node ${victim.node}, which serves ${serving}, has ${noticeSeconds} s left`);
    const order = { instance: victim.id, noticeMs: noticeSeconds * 1_000 };
    await cluster.cloud('interrupt', order, AbortSignal.timeout(orderMs));
    await disturbed.done;
    hasLeft = await until(() => signal.aborted || !isAlive(victim.pid), noticeSeconds * 1_000);
    signal.throwIfAborted();
  } finally {
    await Promise.all([moved.stop(), found.stop()]);
  }
  report(`its drain found ${found.total()}`);
  for (const node of cluster.nodes)
    if (node !== victim) report(`node ${node.node} moved: ${await movesOf(node)}`);

  for (const { error } of disturbed.all) if (error !== null) report(`a stream was lost: ${error}`);
  const finished = disturbed.all.filter((streamed) => streamed.finished).length;
  const wrong = disturbed.all.map(({ ids }, i) => wrongTokens(undisturbed.all[i]!.ids, ids));
  const result: Report = {
    engine: 'vllm',
    nodes: plan.nodes,
    streams: plan.streams,
    finished,
    moved: moved.total(),
    wrongTokens: wrong.reduce((sum, count) => sum + count, 0),
    readySeconds: Math.round(cluster.readyMs / 100) / 10,
    interruption: { lost: plan.streams - finished },
  };
  // Whose time is up leaves what it had no time to remove, and says that its end was not a clean one.
  const isClean = !goodbyes.some(({ clean }) => clean === false);
  if (!isClean) report('its time was up before its engine had ended');
  const sockets = isClean ? await socketsIn(dirname(victim.control)) : [];
  const bounds: readonly (readonly [string, boolean])[] = [
    ['every stream finishes', finished === plan.streams],
    ['no token is wrong', result.wrongTokens === 0],
    // Between our look and the notice silence may have taken them all from an engine that the machine starves.
    ['the streams of the interrupted node move', result.moved > 0 || found.total() === 0],
    ['the interrupted node leaves in time', hasLeft],
    [`it leaves no socket: ${sockets.join(', ')}`, sockets.length === 0],
  ];
  return { report: result, broken: bounds.filter(([, holds]) => !holds).map(([bound]) => bound) };
}

/** Silence may have taken every stream from an engine that the machine starves: there is nothing left to move there. */
async function busiest(
  nodes: readonly DevNode[],
): Promise<{ readonly node: DevNode; readonly serving: number }> {
  const served = nodes.map(async (node) => ({ node, serving: (await statusOf(node)).streams.serving }));
  return (await Promise.all(served)).reduce((most, one) => (one.serving >= most.serving ? one : most));
}

/** None where the whole folder is gone. */
async function socketsIn(dir: string): Promise<readonly string[]> {
  try {
    return (await readdir(dir, { withFileTypes: true }))
      .filter((one) => one.isSocket())
      .map(({ name }) => name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** By cause: what is not `drain` says how the engines fared under the load. */
async function movesOf({ api }: DevNode): Promise<string> {
  const text = await (await fetch(`${api}/metrics`)).text();
  const moves = text.matchAll(/^synkti_streams_moved_total\{.*cause="(\S+?)".*\} ([1-9]\d*)$/gm);
  return [...moves].map(([, cause, count]) => `${count} by ${cause}`).join(', ') || 'none';
}

async function servedModel({ api }: DevNode): Promise<string> {
  const models = (await (await fetch(`${api}/v1/models`)).json()) as {
    readonly data: readonly { id: string }[];
  };
  const [first] = models.data;
  if (first === undefined) throw new Error(`${api}: serves no model`);
  return first.id;
}

/** 64 tokens first: on some CPUs a shorter first prompt kills vLLM's worker. Several, so that every engine gets one. */
async function warmUp(nodes: readonly DevNode[], model: string, signal: AbortSignal): Promise<void> {
  const prompt = Array.from({ length: 64 }, () => 75);
  await Promise.all(
    [...nodes, ...nodes].map(async ({ api }) => {
      const response = await fetch(`${api}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model, prompt, max_tokens: 32, temperature: 0, ignore_eos: true }),
        signal,
      });
      if (!response.ok) throw new Error(`warm up: ${response.status} ${await response.text()}`);
    }),
  );
}

async function begun({ all, done }: Streaming, signal: AbortSignal): Promise<void> {
  let over = false;
  void done.then(() => (over = true));
  const share = (): number => all.reduce((sum, { ids }) => sum + ids.length, 0) / (all.length * maxTokens);
  while (!over && share() < begunShare) {
    signal.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** And with every id, or else there is nothing to compare with. */
function throwUnlessAllFinished({ all }: Streaming): void {
  const bad = all.find(({ finished, ids }) => !finished || ids.length !== maxTokens);
  if (bad === undefined) return;
  throw new Error(`undisturbed: ${bad.api}: ${bad.error ?? `${bad.ids.length} ids of ${maxTokens}`}`);
}
