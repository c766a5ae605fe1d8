/**
 * `npm run demo`: a cluster of three real nodes, 60 concurrent streaming chats for half a minute, one node
 * interrupted with notice, another killed without. Exit 1 when anything was lost that may not be lost, or took longer
 * than it may: not counted is what this very process stood still, and a slow machine is told by a plain command.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { expectedContinuation } from '../../src/engines/simulated/model.ts';
import { json } from '../script/flags.ts';
import { runScript, type Given, type Script } from '../script/script.ts';
import { startDevCluster, type DevCluster, type DevNode } from '../cluster/dev-cluster.ts';
import { startLoad, type Chat, type Load } from './load.ts';
import { isReady, membersOf, statusOf, timeUntil, watchCounter } from './observe.ts';
import { watchStalls, type Stalls } from './stalls.ts';

const plan = {
  nodes: 3,
  concurrency: 60,
  runMs: 30_000,
  /** About four seconds of text at the simulated engine's pace. */
  meanTokens: 200,
  interruptAtMs: 6_000,
  noticeMs: 20_000,
  killAtMs: 18_000,
};

/** The local cloud's own answer; what it orders may go on after that. */
const orderMs = 30_000;
/** Commands, by time, in which a cluster is ready: 40 take 10 s where one takes a quarter of a second. */
const commandsInReady = 40;
/** How long is waited, so that the report can say how long it took; what is promised is in `bounds`. */
const patience = {
  readyMs: 180_000,
  busyMs: 20_000,
  movedMs: 20_000,
  outOfTablesMs: 30_000,
  finishMs: 120_000,
};

type Scene = {
  readonly cluster: DevCluster;
  readonly load: Load;
  /** Nodes whose clients' sockets died with them. */
  readonly lost: Set<number>;
  /** Generations moved off a node that drains, over all nodes and for good. */
  readonly movedByDrain: () => number;
  readonly stalls: Stalls;
};

const script: Script<{ json: typeof json }> = {
  name: 'demo',
  about:
    'A cluster of three real nodes, 60 concurrent streaming chats for half a minute; one node is interrupted with notice, another killed without.',
  flags: { json },
  example: 'npm run -s demo -- --json',
};

const say = (line: string): void => void process.stderr.write(`${line}\n`);

async function main(flags: Given<typeof script.flags>): Promise<number> {
  say(`starting ${plan.nodes} nodes …`);
  const stalls = watchStalls();
  const cluster = await startDevCluster({ nodes: plan.nodes, readyMs: patience.readyMs });
  try {
    const report = await perform(cluster, stalls);
    if (flags.json) process.stdout.write(`${JSON.stringify(report)}\n`);
    else process.stdout.write(inWords(report));
    const broken = bounds(report).filter(([, holds]) => !holds);
    for (const [bound] of broken) say(`broken: ${bound}`);
    return broken.length === 0 ? 0 : 1;
  } finally {
    stalls.stop();
    await cluster.stop();
  }
}

type Report = Awaited<ReturnType<typeof perform>>;

async function perform(cluster: DevCluster, stalls: Stalls) {
  const startStalledMs = stalls.totalMs();
  const commandMs = await timeOfCommand(cluster);
  say(`ready in ${cluster.readyMs} ms: ${cluster.nodes.map((node) => node.api).join(' ')}`);
  const lost = new Set<number>();
  const load = startLoad({
    apis: cluster.nodes.map(({ node, api }) => ({ node, url: api })),
    concurrency: plan.concurrency,
    meanTokens: plan.meanTokens,
    expect: (promptIds, count) => expectedContinuation({ promptIds, count }),
    isLost: (node) => lost.has(node),
  });
  const moved = watchCounter(cluster.nodes, 'synkti_streams_moved_total');
  const movedByDrain = watchCounter(cluster.nodes, 'synkti_streams_moved_total{cause="drain"}');
  const scene: Scene = { cluster, load, lost, movedByDrain: movedByDrain.total, stalls };
  const startedAt = performance.now();
  const until = (ms: number): Promise<void> => pause(Math.max(0, ms - (performance.now() - startedAt)));
  const [, interrupted, killed] = cluster.nodes as readonly [DevNode, DevNode, DevNode];

  await until(plan.interruptAtMs);
  await untilBusy(interrupted);
  const interruption = await interrupt(scene, interrupted);
  await until(plan.killAtMs);
  await untilBusy(killed);
  const kill = await killOne(scene, killed);
  await until(plan.runMs);
  await load.finish(patience.finishMs);
  await Promise.all([moved.stop(), movedByDrain.stop()]);

  const chats = load.chats;
  for (const chat of chats)
    if (chat.outcome?.type === 'failed') say(`failed: node ${chat.entry}: ${chat.outcome.why}`);
  return {
    cluster: {
      ...{ nodes: cluster.nodes.length, readyMs: cluster.readyMs },
      ...{ stalledMs: startStalledMs, commandMs },
    },
    streams: {
      started: chats.length,
      finished: ended(chats, 'finished'),
      failed: ended(chats, 'failed'),
      moved: moved.total(),
      tokens: chats.reduce((sum, chat) => sum + chat.tokens, 0),
      wrongTokens: chats.reduce((sum, chat) => sum + chat.wrongTokens, 0),
    },
    interruption: {
      node: interrupted.node,
      inFlight: interruption.inFlight,
      moved: interruption.moved,
      endedThere: interruption.endedThere,
      lost: ended(interruption.running, 'failed'),
      entryLost: ended(interruption.running, 'entry-lost'),
      noticeToAdmissionOffMs: interruption.admissionOffMs,
      noticeToEmptyMs: interruption.emptyMs,
      stalledMs: interruption.stalledMs,
    },
    kill: {
      node: killed.node,
      served: kill.served,
      cut: ended(kill.running, 'failed'),
      entryLost: ended(kill.running, 'entry-lost'),
      outOfTablesMs: kill.outOfTablesMs,
      stalledMs: kill.stalledMs,
    },
  };
}

/** How long a command of the program takes here and now. */
async function timeOfCommand({ synkti }: DevCluster): Promise<number> {
  const since = performance.now();
  await synkti('members');
  return Math.round(performance.now() - since);
}

/** Waits for work worth losing: on a slow machine answers may end together and leave a node idle for a moment. */
async function untilBusy(node: DevNode): Promise<void> {
  const enough = plan.concurrency / plan.nodes / 2;
  const busy = async (): Promise<boolean> => (await statusOf(node)).streams.serving >= enough;
  await timeUntil(busy, { since: performance.now(), withinMs: patience.busyMs });
}

/** Notice with time left: everything that runs there must go on elsewhere. */
async function interrupt({ cluster, load, movedByDrain, lost, stalls }: Scene, node: DevNode) {
  const running = load.chats.filter((chat) => chat.outcome === null);
  const generations = watchCounter([node], 'synkti_drain_generations_total');
  const movedBefore = movedByDrain();
  say(`interrupting node ${node.node}, notice of ${plan.noticeMs / 1_000} s`);
  load.avoid(node.node);
  const stalledBefore = stalls.totalMs();
  const since = performance.now();
  const order = { instance: node.id, noticeMs: plan.noticeMs };
  const ordered = cluster.cloud('interrupt', order, AbortSignal.timeout(orderMs));
  const off = timeUntil(async () => !(await isReady(node)), { since, withinMs: plan.noticeMs });
  const empty = timeUntil(async () => (await generationsOn(node)) === 0, { since, withinMs: plan.noticeMs });
  await ordered;
  const admissionOffMs = await off;
  const stalledMs = stalls.totalMs() - stalledBefore;
  const emptyMs = await empty;
  const endedThere = running.filter(
    ({ servedBy, outcome }) => servedBy === node.id && outcome?.type === 'finished',
  ).length;
  const moved = (): number => movedByDrain() - movedBefore;
  const told = async (): Promise<boolean> =>
    generations.total() > 0 && moved() + endedThere >= generations.total();
  await timeUntil(told, { since: performance.now(), withinMs: patience.movedMs });
  await generations.stop();
  lost.add(node.node);
  return {
    running,
    inFlight: generations.total(),
    moved: moved(),
    endedThere,
    admissionOffMs,
    emptyMs,
    stalledMs,
  };
}

/** null until a drain began or when the node is gone: an idle moment before the notice is not an empty node. */
async function generationsOn(node: DevNode): Promise<number | null> {
  try {
    const { life, streams } = await statusOf(node);
    return life.phase === 'draining' || life.phase === 'left' ? streams.serving : null;
  } catch {
    return 0;
  }
}

/** No notice: the clients connected there are lost with it, every other stream goes on. */
async function killOne({ cluster, load, lost, stalls }: Scene, node: DevNode) {
  const running = load.chats.filter((chat) => chat.outcome === null);
  const { streams } = await statusOf(node);
  say(`killing node ${node.node}`);
  load.avoid(node.node);
  lost.add(node.node);
  await cluster.cloud('kill', { instance: node.id }, AbortSignal.timeout(orderMs));
  const stalledBefore = stalls.totalMs();
  const since = performance.now();
  const survivors = cluster.nodes.filter((other) => !lost.has(other.node));
  const out = async (): Promise<boolean> => {
    const views = await Promise.all(survivors.map((survivor) => membersOf(survivor)));
    return views.every((view) => !view.some((member) => member.id === node.id && member.health === 'alive'));
  };
  const outOfTablesMs = await timeUntil(out, { since, withinMs: patience.outOfTablesMs });
  return { running, served: streams.serving, outOfTablesMs, stalledMs: stalls.totalMs() - stalledBefore };
}

const ended = (chats: readonly Chat[], type: string): number =>
  chats.filter((chat) => chat.outcome?.type === type).length;

/** What the project promises, as the numbers of one run. */
function bounds({ cluster, streams, interruption, kill }: Report): readonly (readonly [string, boolean])[] {
  const within = (ms: number | null, bound: number, stalledMs: number): boolean =>
    ms !== null && ms - stalledMs < bound;
  const startMs = Math.max(10_000, commandsInReady * cluster.commandMs);
  return [
    [`ready within ${startMs} ms`, within(cluster.readyMs, startMs, cluster.stalledMs)],
    ['at least 60 streams finished', streams.finished >= 60],
    ['no stream failed', streams.failed === 0],
    ['no token wrong', streams.wrongTokens === 0],
    ['something ran on the interrupted node', interruption.inFlight > 0],
    [
      'every generation of the interrupted node moved, but for what ended before its turn',
      interruption.moved + interruption.endedThere >= interruption.inFlight,
    ],
    ['nothing lost by the interruption', interruption.lost === 0 && interruption.entryLost === 0],
    ['admission off within 1 s', within(interruption.noticeToAdmissionOffMs, 1_000, interruption.stalledMs)],
    ['empty within 10 s', within(interruption.noticeToEmptyMs, 10_000, interruption.stalledMs)],
    ['no stream cut by the kill', kill.cut === 0],
    ['the killed node out of every table within 1 s', within(kill.outOfTablesMs, 1_000, kill.stalledMs)],
  ];
}

const stalled = ({ stalledMs }: { readonly stalledMs: number }): string =>
  stalledMs === 0 ? '' : `, ${stalledMs} ms of which the machine stood still`;

function inWords({ cluster, streams, interruption, kill }: Report): string {
  const rows = [
    ['cluster', `${cluster.nodes} nodes ready in ${cluster.readyMs} ms${stalled(cluster)}`],
    ['streams', `${streams.started} started, ${streams.finished} finished, ${streams.failed} failed`],
    ['', `${streams.moved} moved to another node while running`],
    ['tokens', `${streams.tokens} checked, ${streams.wrongTokens} wrong`],
    [
      'interruption',
      `node ${interruption.node}: ${interruption.inFlight} running, ${interruption.moved} moved`,
    ],
    ['', `${interruption.lost} lost, ${interruption.entryLost} lost with their client's socket`],
    [
      '',
      `admission off after ${interruption.noticeToAdmissionOffMs} ms, empty after ${interruption.noticeToEmptyMs} ms${stalled(interruption)}`,
    ],
    ['kill -9', `node ${kill.node}: ${kill.served} running there, ${kill.cut} cut`],
    [
      '',
      `${kill.entryLost} lost with their client's socket, out of every table after ${kill.outOfTablesMs} ms${stalled(kill)}`,
    ],
  ];
  return rows.map(([what, how]) => `${what!.padEnd(14)}${how}\n`).join('');
}

await runScript(script, main);
