/** Engines whose core is dead while their server goes on for a while: what it answers is nobody's answer. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { FakeCluster, until, type FakeNode } from './fake-cluster.ts';
import { fastClock } from './fast-clock.ts';

/** Longer than any of these takes on a busy machine. */
const patienceMs = 30_000;
const messages = [{ role: 'user', content: 'count' }];

type Ask = { readonly path: string; readonly body: Readonly<Record<string, unknown>> };

/** Of each way that a request goes: told as a stream, in one piece, as it is, and passed through. */
const asks: readonly Ask[] = [
  { path: '/v1/chat/completions', body: { model: 'tiny', messages, stream: true } },
  { path: '/v1/chat/completions', body: { model: 'tiny', messages } },
  { path: '/v1/chat/completions', body: { model: 'tiny', messages, logprobs: true } },
  { path: '/v1/embeddings', body: { model: 'tiny', input: 'a' } },
];

const post = (cluster: FakeCluster, { path, body }: Ask): Promise<Response> =>
  fetch(cluster.get(0).url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });

const askedOf = (node: FakeNode): number => node.engine.asked.length;

/** Of an entry node and another one, whose engines are the only ones in turn. */
async function* onlyEngines(options: Parameters<typeof FakeCluster.of>[1] = {}) {
  for (const ask of asks)
    for (const serving of [0, 1]) {
      await using cluster = await FakeCluster.of(2, options);
      cluster.get(1 - serving).standing = 'suspect';
      const only = cluster.get(serving);
      only.engine.mode = 'dead';
      yield { cluster, only, answer: post(cluster, ask), what: `${JSON.stringify(ask)} of n${serving}` };
    }
}

test('[S10] a request that meets the only engine dead has its answer from the next one there', async () => {
  for await (const { only, answer, what } of onlyEngines()) {
    only.onDead = () => (only.standing = 'starting');
    await until(() => only.standing === 'starting', `it is found dead by ${what}`, patienceMs);
    only.engine.mode = 'well';
    only.standing = 'ready';
    const { status } = await answer;
    deepEqual([status, askedOf(only)], [200, 2], what);
    await (await answer).text();
  }
});

test('[S10] where none comes in its time it is told to come back', async () => {
  const { clock, skip } = fastClock();
  for await (const { only, answer, what } of onlyEngines({ clock })) {
    only.onDead = () => (only.standing = 'starting');
    let isOver = false;
    void answer.finally(() => (isOver = true));
    await until(() => (skip(1_000), isOver), `${what} is over`, patienceMs);
    const { status, headers } = await answer;
    deepEqual([status, headers.get('retry-after'), askedOf(only)], [503, '2', 1], what);
    match(await (await answer).text(), /model_unavailable/);
  }
});

test('[S10] three engines that are found dead by one request are all it gets, and none of their words', async () => {
  for (const ask of asks) {
    await using cluster = await FakeCluster.of(4);
    for (const { engine } of cluster.nodes) engine.mode = 'dead';
    const answer = await post(cluster, ask);
    const [retryAfter, shouldRetry] = ['retry-after', 'x-should-retry'].map((name) =>
      answer.headers.get(name),
    );
    deepEqual([answer.status, retryAfter, shouldRetry], [503, '2', 'false'], JSON.stringify(ask));
    match(await answer.text(), /engines_died/);
    equal(
      cluster.nodes.reduce((sum, node) => sum + askedOf(node), 0),
      3,
    );
    deepEqual(cluster.get(0).suspected, []);
  }
});

test('[S16] what a healthy engine has no better answer to than 500 is told in its words, after three tries', async () => {
  for await (const { only, answer, what } of onlyEngines()) {
    only.engine.mode = 'draining';
    const { status } = await answer;
    deepEqual([status, askedOf(only)], [500, 3], what);
    match(await (await answer).text(), /cannot schedule new futures/);
  }
});

test('[S10] an answer that has begun waits for another engine however often it meets dead ones', async () => {
  await using cluster = await FakeCluster.of(2);
  const [entry, other] = cluster.nodes;
  entry!.standing = 'suspect';
  other!.engine.paceMs = 20;
  const answer = await post(cluster, asks[0]!);
  other!.onDead = () => {
    if (askedOf(other!) > 3) other!.engine.mode = 'well';
  };
  await until(() => other!.engine.running === 1, 'it runs');
  const reader = answer.body!.getReader();
  const decoder = new TextDecoder();
  let text = '';
  while (!text.includes(' 3"')) text += decoder.decode((await reader.read()).value, { stream: true });
  other!.engine.mode = 'dead';
  other!.engine.breakOff();
  for (let part = await reader.read(); !part.done; part = await reader.read())
    text += decoder.decode(part.value, { stream: true });
  match(text, / 20"[^]*data: \[DONE\]/);
  ok(!text.includes('"error"'), text.slice(-500));
});

test('[E14] an engine that breaks a stream off by an error event is asked for its health, before anybody asks it for more', async () => {
  for (const serving of [0, 1]) {
    await using cluster = await FakeCluster.of(2);
    const [node, other] = [cluster.get(serving), cluster.get(1 - serving)];
    cluster.get(0).heard.set(node.id, { running: 0, waiting: 0 });
    cluster.get(0).heard.set(other.id, { running: 50, waiting: 0 });
    node.engine.paceMs = 20;
    let found = 0;
    node.onDead = () => (found += 1);
    const answer = await post(cluster, asks[0]!);
    node.engine.loseCore();
    match(await answer.text(), / 20"[^]*data: \[DONE\]/);
    deepEqual([found, askedOf(node), askedOf(other)], [1, 1, 1]);
  }
});

test('[S10] an engine that breaks a connection before it says anything is asked for its health as well', async () => {
  for (const [isDead, expected] of [
    [true, [503, '2']],
    [false, [502, null]],
  ] as const) {
    await using cluster = await FakeCluster.of(1);
    const node = cluster.get(0);
    node.engine.mode = 'broken';
    node.isEngineDead = () => isDead;
    const { status, headers } = await post(cluster, asks[3]!);
    deepEqual([status, headers.get('retry-after')], expected);
  }
});
