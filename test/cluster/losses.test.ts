/** What is lost under running streams: engines, daemons, a whole node in mid-air, two of three nodes. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { durableFetch, type Resumption } from '../../src/client/index.ts';
import { clusterMark } from '../../src/cli/dev/environment.ts';
import { connectControl } from '../../src/control/client.ts';
import { processes } from '../../src/os/processes.ts';
import { membersOf, statusOf, timeUntil } from '../demo/observe.ts';
import { startDevCluster, type DevCluster, type DevNode } from './dev-cluster.ts';
import { openStreams, type Stream } from './streams.ts';

const orderMs = 60_000;
const bounded = { timeout: 480_000 };

let cluster: DevCluster;
let nodes: readonly [DevNode, DevNode, DevNode];

before(async () => {
  cluster = await startDevCluster({ nodes: 3, readyMs: 120_000, args: ['--replace-after', '10m'] });
  nodes = cluster.nodes as typeof nodes;
}, bounded);

after(async () => {
  const { dir } = cluster;
  await cluster.stop();
  deepEqual(await processes.marked(clusterMark(dir)), [], 'no process outlives the cluster');
});

const order = (what: 'kill' | 'freeze' | 'thaw', { id }: DevNode, which: 'instance' | 'daemon' | 'engine') =>
  cluster.cloud(what, { instance: id, which }, AbortSignal.timeout(orderMs));

async function until(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
  const tried = async (): Promise<boolean> => {
    try {
      return await holds();
    } catch {
      return false; // A daemon that is gone for the moment does not answer.
    }
  };
  const ms = await timeUntil(tried, { since: performance.now(), withinMs: 120_000 });
  ok(ms !== null, `never ${what}`);
}

/** As `observers` see it; its own word that it serves is in that. */
const isBack = async (node: DevNode, observers: readonly DevNode[]): Promise<boolean> => {
  const views = await Promise.all(observers.map((observer) => membersOf(observer)));
  return views.every((view) =>
    view.some(
      ({ id, health, phase, engine }) =>
        id === node.id && health === 'alive' && phase === 'serving' && engine === 'ready',
    ),
  );
};

const isGone = (node: DevNode): Promise<boolean> =>
  statusOf(node).then(
    () => false,
    () => true,
  );

/**
 * Streams that enter elsewhere, some of which the victim serves by now. Where a busy machine kept the victim from
 * being chosen, or us from seeing it before the last stream had ended, they are opened anew.
 */
async function streamsOver(victim: DevNode, entries: readonly DevNode[], tokens = 250) {
  for (let left = 3; ; left--) {
    const streams = openStreams(entries, { count: 12, tokens });
    const served = until('served by the victim', async () => {
      const { serving } = (await statusOf(victim)).streams;
      return serving > 0 && streams.all.every((stream) => stream.tokens > 20);
    });
    const seen = await Promise.race([served.then(() => true), streams.done.then(() => false)]);
    if (seen) return streams;
    served.catch(() => undefined);
    ok(left > 1, 'none went to the victim, three times over');
  }
}

/** Lines of a node's log, the newest last. */
async function facts({ node }: DevNode, fact: string): Promise<Record<string, unknown>[]> {
  const text = await readFile(join(cluster.dir, `node-${node}.log`), 'utf8');
  const lines = text.split('\n').filter((line) => line.startsWith('{'));
  return lines
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter((line) => line['fact'] === fact);
}

/** What a stream that left the victim for its silence did, as another node than its entry node tells it. */
async function isExplained(
  victim: DevNode,
  { entry, asked }: { readonly entry: DevNode; readonly asked: DevNode },
): Promise<void> {
  let left: Record<string, unknown> | undefined;
  await until('left', async () => {
    const moves = await facts(entry, 'stream.moved');
    left = moves.findLast(({ from, cause }) => from === victim.id && cause === 'silence');
    return left !== undefined;
  });
  const control = connectControl(dirname(asked.control));
  const { stories, silent } = await control.explainStream(String(left?.['request']));
  const [story] = stories;
  deepEqual([stories.length, story?.entry, story?.state], [1, entry.id, 'finished']);
  deepEqual([story?.way, story?.serving === victim.id, silent], ['ids', false, [victim.id]]);
  const moved = story?.steps.find((step) => step.type === 'moved' && step.from === victim.id);
  deepEqual(moved && 'stallMs' in moved && [moved.tokens, moved.stallMs], [
    left?.['tokens'],
    left?.['stallMs'],
  ]);
}

/**
 * That they went on elsewhere within what is promised for one in a hundred. How long this machine lets nodes and us stand
 * still is seen in the streams that nothing happened to.
 */
async function wentOnSoon(streams: readonly Stream[], entries: readonly DevNode[]): Promise<void> {
  const told = (await Promise.all(entries.map((entry) => facts(entry, 'stream.moved')))).flat();
  const moved = new Set(told.map(({ request }) => request));
  const longest = (isMoved: boolean): number =>
    streams
      .filter(({ request }) => moved.has(request) === isMoved)
      .reduce((most, { longestPauseMs }) => Math.max(most, longestPauseMs), 0);
  const [movedMs, othersMs] = [longest(true), longest(false)];
  ok(movedMs < 3_000 + othersMs, `${movedMs} ms, and ${othersMs} ms where nothing happened`);
}

test('a scrape has the model that the cluster serves before anybody has asked for it', async () => {
  const text = await (await fetch(`${nodes[0].api}/metrics`)).text();
  ok(text.includes('\nsynkti_time_to_first_token_seconds_count{model="simulated"} 0\n'));
});

test('a killed engine is started again, and what it computed goes on elsewhere', bounded, async () => {
  const [, victim] = nodes;
  const { all, done } = await streamsOver(victim, nodes);
  await order('kill', victim, 'engine');
  await done;
  await wentOnSoon(all, nodes);
  await until('ready again', async () => {
    const { engine } = await statusOf(victim);
    return engine.phase === 'ready' && engine.restarts === 1;
  });
  await until('in routing again', () =>
    isBack(
      victim,
      nodes.filter((node) => node !== victim),
    ),
  );
});

test(
  'what an engine answers whose core is dead nobody hears: there is another, or a time to come back',
  bounded,
  async () => {
    const engines = (await processes.marked(clusterMark(cluster.dir))).filter(({ command }) =>
      command.includes('EngineCore'),
    );
    equal(engines.length, 3);
    const before = await Promise.all(nodes.map((node) => facts(node, 'engine.failed')));
    const servers = (await Promise.all(nodes.map((node) => facts(node, 'engine.spawned')))).map((spawned) =>
      Number(spawned.at(-1)?.['pid']),
    );
    // What they are asked meanwhile is there before they see what became of their cores, after which they soon end.
    for (const pid of servers) process.kill(pid, 'SIGSTOP');
    for (const { pid } of engines) process.kill(pid, 'SIGKILL');
    const body = JSON.stringify({ model: 'simulated', prompt: 'x', max_tokens: 2 });
    const headers = { 'content-type': 'application/json' };
    const answers = ['/v1/completions', '/tokenize'].map((path) =>
      fetch(`${nodes[0].api}${path}`, { method: 'POST', headers, body }),
    );
    await until('asked', async () =>
      (await Promise.all(nodes.map((node) => statusOf(node)))).some(({ streams }) => streams.serving > 0),
    );
    for (const pid of servers) process.kill(pid, 'SIGCONT');
    for (const answer of await Promise.all(answers)) {
      const { status, headers } = answer;
      const isHonest = status === 200 || (status === 503 && headers.has('retry-after'));
      ok(isHonest, `${status} ${JSON.stringify([...headers])} ${await answer.text()}`);
    }
    const failed = async (i: number): Promise<readonly Record<string, unknown>[]> =>
      (await facts(nodes[i]!, 'engine.failed')).slice(before[i]!.length);
    for (const [i, node] of nodes.entries())
      await until('ready again', async () => {
        const { engine } = await statusOf(node);
        return engine.phase === 'ready' && (await failed(i)).length > 0;
      });
    // By its answer, before it ended.
    ok((await Promise.all([0, 1, 2].map(failed))).flat().some(({ why }) => why === 'dead'));
    for (const node of nodes) await until('in routing again', () => isBack(node, nodes));
  },
);

test('a killed daemon leaves its engine running, which the next daemon adopts', bounded, async () => {
  const [one, victim, three] = nodes;
  const [ready] = (await facts(victim, 'engine.spawned')).slice(-1);
  const { pid: former } = await statusOf(victim);
  const { done } = await streamsOver(victim, [one, three]);
  await order('kill', victim, 'daemon');
  await done;
  await until('back', async () => {
    const { pid } = await statusOf(victim);
    return pid !== former && (await isBack(victim, [one, three]));
  });
  const [adopted] = (await facts(victim, 'engine.adopted')).slice(-1);
  equal(adopted?.['pid'], ready?.['pid']);
  ok(processes.startOf(Number(ready?.['pid'])) !== null, 'the same engine runs');
  equal((await facts(victim, 'engine.spawned')).at(-1)?.['pid'], ready?.['pid']);
});

test('a frozen node costs its streams little, and serves again once it is thawed', bounded, async () => {
  const [one, victim, three] = nodes;
  const { all, done } = await streamsOver(victim, [one, three]);
  await order('freeze', victim, 'instance');
  await done;
  // Without load 0.85 s.
  await wentOnSoon(all, [one, three]);
  await isExplained(victim, { entry: one, asked: three });
  await order('thaw', victim, 'instance');
  await until('back', () => isBack(victim, [one, three]));
  await until('idle', async () => (await statusOf(victim)).streams.serving === 0);
});

test(
  'a client that knows all nodes goes on when the one that it is connected to is killed',
  bounded,
  async () => {
    const [one, , victim] = nodes;
    const resumed: Resumption[] = [];
    const urls = nodes.map(({ api }) => `${api}/v1`);
    const fetch = durableFetch(urls, { onResume: (resumption) => resumed.push(resumption) });
    const { all, done } = openStreams(nodes, { count: 12, tokens: 400, fetch });
    await until('under way', () => all.every((stream) => stream.tokens > 20));
    await order('kill', victim, 'daemon');
    await done;
    ok(resumed.length > 0 && resumed.every(({ from, to }) => from === `${victim.api}/v1` && to !== from));
    await until('back', () => isBack(victim, [one]));
  },
);

/** A stream whose client loses its entry node, which is started again, and comes back to it only when it is let. */
async function parted(entry: DevNode, others: readonly DevNode[]) {
  const comesBack = Promise.withResolvers<void>();
  const waiting: typeof fetch = async (input, init) => {
    if (new Headers(init?.headers).has('last-event-id')) await comesBack.promise;
    return fetch(input, init);
  };
  const patient = { fetch: waiting, seekMs: orderMs, headMs: 2 * orderMs };
  const durable = durableFetch([`${entry.api}/v1`], patient);
  const { all, done } = openStreams([entry], { count: 1, tokens: 200, fetch: durable });
  await until('under way', () => all.every((stream) => stream.tokens > 20));
  const { pid: former } = await statusOf(entry);
  await order('kill', entry, 'daemon');
  await until('back', async () => (await statusOf(entry)).pid !== former && (await isBack(entry, others)));
  return { done, comesBack: () => comesBack.resolve() };
}

test(
  'of three nodes two are interrupted at once: all streams go on at the third, that of an earlier life of it too',
  bounded,
  async () => {
    const [survivor, ...victims] = nodes;
    const earlier = await parted(survivor, victims);
    const { done } = await streamsOver(victims[1]!, [survivor], 400);
    const notice = (node: DevNode) =>
      cluster.cloud('interrupt', { instance: node.id, noticeMs: 15_000 }, AbortSignal.timeout(orderMs));
    await Promise.all(victims.map(notice));
    await done;
    for (const victim of victims) {
      await until('gone', () => isGone(victim));
      let left: readonly Record<string, unknown>[] = [];
      await until('left', async () => (left = await facts(victim, 'drain.left')).length > 0);
      deepEqual(
        left.map(({ clean }) => clean),
        [true],
      );
    }
    earlier.comesBack();
    await earlier.done;
  },
);
