/** Members of one model that differ in how much they take. */
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { FakeCluster, type FakeNode } from './fake-cluster.ts';
import { countedText, counting, tooLong } from './fake-engine.ts';
import { gathered } from '../stream/conversation.ts';

const chat = { model: 'tiny', messages: [{ role: 'user', content: 'count' }], temperature: 0 };
const asks = [
  { path: '/v1/chat/completions', body: { ...chat, stream: true } },
  { path: '/v1/chat/completions', body: chat },
  { path: '/v1/chat/completions', body: { ...chat, stream: true, logprobs: true } },
  { path: '/v1/completions', body: { model: 'tiny', prompt: 'count', stream: true, n: 2, temperature: 1 } },
  { path: '/v1/responses', body: { model: 'tiny', input: 'count' } },
];

const post = ({ url }: FakeNode, { path, body }: (typeof asks)[number]): Promise<Response> =>
  fetch(url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });

const askedOf = ({ nodes }: FakeCluster): readonly number[] => nodes.map(({ engine }) => engine.asked.length);

/** A cluster whose members take so much; whoever is `busy` is asked last. */
async function membersOf(contexts: readonly number[], busy: number): Promise<FakeCluster> {
  const cluster = await FakeCluster.of(contexts.length);
  for (const [i, node] of cluster.nodes.entries()) {
    node.contextTokens = contexts[i]!;
    const running = i === busy ? 100 : 0;
    for (const other of cluster.nodes) other.heard.set(node.id, { running, waiting: 0 });
  }
  return cluster;
}

test('[S16] what is too long for one member is asked of those that take more', async () => {
  for (const ask of asks) {
    await using cluster = await membersOf([1_000, 2_000, 4_000], 2);
    for (const { engine } of cluster.nodes.slice(0, 2)) engine.mode = 'short';
    const answer = await post(cluster.get(0), ask);
    const told = await answer.text();
    deepEqual([answer.status, answer.headers.get('x-synkti-served-by')], [200, 'n2'], told);
    const [first = 0, second = 0, third = 0] = askedOf(cluster);
    const choices = 'n' in ask.body ? ask.body.n : 1;
    equal(third, choices);
    equal(first <= choices && second <= choices && first + second > 0, true, `${first} and ${second}`);
    const suspected = cluster.nodes.flatMap((node) => node.suspected);
    deepEqual([suspected, cluster.get(0).named('member.ejected')], [[], []]);
  }
});

test('[S16] who takes as much as anybody is believed', async () => {
  for (const ask of asks) {
    await using cluster = await membersOf([4_000, 1_000, 4_000], 1);
    for (const { engine } of cluster.nodes) engine.mode = 'short';
    const answer = await post(cluster.get(0), ask);
    deepEqual([answer.status, await answer.json()], [400, { error: tooLong }]);
    equal(askedOf(cluster)[1], 0);
  }
});

test('[S16] [S1] what has grown too long for the member that would go on with it goes on where it fits', async () => {
  await using cluster = await membersOf([1_000, 4_000, 1_000, 1_000, 4_000], 4);
  const [entry, first, ...others] = cluster.nodes;
  for (const node of [entry!, ...others]) node.standing = 'suspect';
  for (const { engine } of cluster.nodes) Object.assign(engine, { script: counting(40), paceMs: 5 });
  const answer = await post(entry!, asks[0]!);
  for (const node of [entry!, ...others]) {
    if (node.contextTokens === 1_000) node.engine.mode = 'short';
    node.standing = 'ready';
  }
  first!.engine.breakOff();
  const events = (await answer.text()).split('\n\n').filter((event) => event.startsWith('id: '));
  const { text, error } = gathered(events.map((event) => event.slice(event.indexOf('data: ') + 6)));
  deepEqual([text, error], [countedText(40), null]);
  // One that is too short says enough of all that are.
  equal(
    askedOf(cluster).reduce((sum, asked) => sum + asked, 0),
    3,
  );
});
