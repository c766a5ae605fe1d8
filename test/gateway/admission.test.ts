import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { hash } from 'node:crypto';
import { mock, test } from 'node:test';
import { Pool } from 'undici';
import { keyTable } from '../../src/gateway/keys.ts';
import { FakeCluster, until, type FakeNode } from './fake-cluster.ts';
import { counting } from './fake-engine.ts';

const keyOf = (name: string, requestsPerMinute: number | null, tokensPerMinute: number | null = null) => ({
  name,
  sha256: hash('sha256', `sk-${name}`, 'hex'),
  limits: { requestsPerMinute, tokensPerMinute },
});

function ask(
  cluster: FakeCluster,
  node: number,
  key: string,
  sent: object = {},
  headers: object = {},
): Promise<Response> {
  return fetch(`${cluster.get(node).url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer sk-${key}`, ...headers },
    body: JSON.stringify({ model: 'tiny', messages: [{ role: 'user', content: 'count' }], ...sent }),
  });
}

const post = (cluster: FakeCluster, path: string, sent: object): Promise<Response> =>
  fetch(cluster.get(0).url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-api-key': 'sk-a' },
    body: JSON.stringify({ model: 'tiny', ...sent }),
  });

const codeOf = async (response: Response): Promise<unknown> =>
  ((await response.json()) as { error: { code: string } }).error.code;

test('what a key used at one node counts at every other, and who is over is told when to come back', async () => {
  await using cluster = await FakeCluster.of(3, { keys: keyTable([keyOf('a', 4), keyOf('b', null)]) });
  const answered = async (node: number): Promise<boolean> => (await ask(cluster, node, 'a')).status === 200;
  let admitted = 0;
  const deadline = performance.now() + 20_000;
  while (admitted < 4 && performance.now() < deadline) {
    if (await answered(admitted % 2)) admitted += 1;
    else await new Promise((resolve) => setTimeout(resolve, 50));
  }
  equal(admitted, 4);
  // Node 2 has seen no request of this key, only heard of them.
  let refused = await ask(cluster, 2, 'a');
  while (refused.status === 200 && performance.now() < deadline) refused = await ask(cluster, 2, 'a');
  equal(refused.status, 429);
  ok(Number(refused.headers.get('retry-after')) >= 1);
  equal(await codeOf(refused), 'rate_limit_exceeded');
  equal((await ask(cluster, 2, 'b')).status, 200);
});

test('[A10] a peer tells for itself alone, whatever name it writes into its word', async () => {
  await using cluster = await FakeCluster.of(1, { keys: keyTable([keyOf('a', 4)]) });
  const node = cluster.get(0);
  const speak = async (localAddress: string, word: object): Promise<number> => {
    const pool = new Pool(`http://127.0.0.1:${node.peerPort}`, { localAddress });
    const headers = { 'content-type': 'application/json' };
    const { statusCode } = await pool.request({
      ...{ method: 'POST', path: '/use', headers, body: JSON.stringify(word) },
    });
    await pool.close();
    return statusCode;
  };
  const uses = [{ key: 'a', requests: 4, tokens: 0, demand: 1 }];
  equal(await speak('127.0.1.8', { uses }), 204);
  equal((await ask(cluster, 0, 'a')).status, 429);
  for (const member of ['127.0.1.8', node.id]) equal(await speak('127.0.1.9', { member, uses: [] }), 204);
  equal((await ask(cluster, 0, 'a')).status, 429);
  // Nor does what it says of itself depend on the name.
  equal(await speak('127.0.1.8', { member: 'another', uses: [] }), 204);
  equal((await ask(cluster, 0, 'a')).status, 200);
});

test('tokens are counted as they came, not as they were expected', async () => {
  // A prompt of some 20 tokens and 256 for an answer that turns out to have 21.
  await using cluster = await FakeCluster.of(1, { keys: keyTable([keyOf('a', null, 600)]) });
  const statuses: number[] = [];
  for (let i = 0; i < 6; i++) statuses.push((await ask(cluster, 0, 'a')).status);
  deepEqual(statuses, [200, 200, 200, 200, 200, 200]);
  const many = await ask(cluster, 0, 'a', { messages: [{ role: 'user', content: 'x'.repeat(4_000) }] });
  equal(many.status, 429);
});

test('[A4] what no model writes costs its prompt only, and what is refused costs no answer', async () => {
  await using cluster = await FakeCluster.of(1, { keys: keyTable([keyOf('a', null, 600)]) });
  const codes = new Set<number>();
  for (let i = 0; i < 8; i++) {
    codes.add((await post(cluster, '/v1/embeddings', { input: 'a few words' })).status);
    codes.add((await ask(cluster, 0, 'a', { model: 'none' })).status);
    codes.add((await post(cluster, '/v1/messages', { model: 'none' })).status);
  }
  deepEqual([...codes].toSorted(), [200, 404]);
});

test('[A4] an answer that is passed through is counted as it says itself, in one piece or streamed', async () => {
  await using cluster = await FakeCluster.of(1, { keys: keyTable([keyOf('a', null, 1_000)]) });
  const { engine } = cluster.get(0);
  engine.outputTokens = 3;
  for (let i = 0; i < 12; i++) {
    const answer = await post(cluster, '/v1/messages', { stream: i % 2 === 0 });
    equal(answer.status, 200);
    await answer.text();
  }
  engine.outputTokens = 1_000;
  await (await post(cluster, '/v1/responses', {})).text();
  equal((await post(cluster, '/v1/responses', {})).status, 429);
});

test('[A4] an answer that is passed on as it is counts as it says itself, and one that was left by what was heard', async () => {
  const keys = [keyOf('a', null, 1_000), keyOf('b', null, 300)];
  await using cluster = await FakeCluster.of(1, { keys: keyTable(keys) });
  const node = cluster.get(0);
  node.engine.outputTokens = 3;
  for (let i = 0; i < 8; i++) equal((await ask(cluster, 0, 'a', { logprobs: true })).status, 200);
  node.engine.outputTokens = 1_000;
  await (await ask(cluster, 0, 'a', { logprobs: true })).text();
  equal((await ask(cluster, 0, 'a')).status, 429);
  node.engine.script = counting(100_000);
  const left = await ask(cluster, 0, 'b', { logprobs: true, stream: true });
  let events = 0;
  for await (const part of left.body!.pipeThrough(new TextDecoderStream())) {
    events += part.split('\n\n').length - 1;
    if (events > 300) break;
  }
  await until(() => node.named('stream.abandoned').length === 1, 'it is given up', 30_000);
  equal((await ask(cluster, 0, 'b')).status, 429);
});

test('[A4] who hangs up, or is cut off, before a stream that is passed through says its tokens pays for what came', async () => {
  const keys = [keyOf('a', null, 300), keyOf('b', null, 300)];
  await using cluster = await FakeCluster.of(1, { keys: keyTable(keys) });
  const node = cluster.get(0);
  node.engine.pieces = 100_000;
  const read = async (key: string, stop: () => unknown): Promise<void> => {
    const answer = await fetch(`${node.url}/v1/messages`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-api-key': `sk-${key}` },
      body: JSON.stringify({ model: 'tiny', stream: true }),
    });
    let events = 0;
    for await (const part of answer.body!.pipeThrough(new TextDecoderStream())) {
      events += part.split('\n\n').length - 1;
      if (events > 400 && stop() === 'hangs up') break;
    }
    await until(() => node.entered === 0, 'it is over', 30_000);
  };
  await read('a', () => 'hangs up');
  equal((await ask(cluster, 0, 'a')).status, 429);
  const deaths: Promise<void>[] = [];
  await read('b', () => deaths.push(node.engine.die()));
  await Promise.all(deaths);
  await node.engine.listen();
  equal((await ask(cluster, 0, 'b')).status, 429);
});

test('[A4] a long answer counts against its key before it is over, whichever way it takes', async () => {
  const names = ['read', 'passed on', 'passed through'];
  const keys = names.map((_, i) => keyOf(`a${i}`, null, 700));
  await using cluster = await FakeCluster.of(1, { keys: keyTable(keys) });
  const node = cluster.get(0);
  node.engine.script = counting(100_000);
  node.engine.pieces = 100_000;
  for (const [i, name] of names.entries()) {
    const path = name === 'passed through' ? '/v1/messages' : '/v1/chat/completions';
    const messages = [{ role: 'user', content: 'count' }];
    const more = name === 'passed on' ? { logprobs: true } : {};
    const answer = await fetch(node.url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer sk-a${i}` },
      body: JSON.stringify({ model: 'tiny', stream: true, messages, ...more }),
    });
    let events = 0;
    for await (const part of answer.body!.pipeThrough(new TextDecoderStream())) {
      events += part.split('\n\n').length - 1;
      if (events < 1_100) continue;
      equal((await ask(cluster, 0, `a${i}`)).status, 429, name);
      break;
    }
  }
});

test('[A4] the rest of an answer is charged where it is made, though its request was let in before', async () => {
  await using cluster = await FakeCluster.of(1, { keys: keyTable([keyOf('a', null, 500)]) });
  cluster.get(0).engine.script = counting(300);
  const first = await ask(cluster, 0, 'a', { stream: true });
  let heard = '';
  for await (const part of first.body!.pipeThrough(new TextDecoderStream())) {
    heard += part;
    if (heard.split('\n\n').length > 6) break;
  }
  const [, last] = /.*\nid: (\S+)\ndata: .*\n\n/s.exec(heard)!;
  const rest = await ask(cluster, 0, 'a', { stream: true }, { 'last-event-id': last! });
  match(await rest.text(), / 300".*\[DONE\]/s);
  equal((await ask(cluster, 0, 'a')).status, 429);
});

test('[A4] what an answer took until another node went on with it is charged where it was made', async () => {
  await using cluster = await FakeCluster.of(3, { keys: keyTable([keyOf('a', null, 400)]) });
  for (const { engine } of cluster.nodes) engine.script = counting(300);
  const first = await ask(cluster, 0, 'a', { stream: true, max_tokens: 301 });
  let heard = '';
  for await (const part of first.body!.pipeThrough(new TextDecoderStream())) {
    heard += part;
    if (heard.split('\n\n').length > 200) break;
  }
  const [, last] = /.*\nid: (\S+)\ndata: .*\n\n/s.exec(heard)!;
  const rest = await ask(cluster, 1, 'a', { stream: true, max_tokens: 301 }, { 'last-event-id': last! });
  match(await rest.text(), / 300".*\[DONE\]/s);
  equal((await ask(cluster, 0, 'a')).status, 429);
});

test('[A4] who asks for the rest of answers that nobody has uses up its requests', async () => {
  await using cluster = await FakeCluster.of(2, { keys: keyTable([keyOf('a', 4), keyOf('b', 4)]) });
  cluster.get(0).engine.script = counting(30);
  const first = await ask(cluster, 0, 'b', { stream: true });
  const ids = [...(await first.text()).matchAll(/^id: (\S+)$/gm)].map(([, id]) => id!);
  const place = { 'last-event-id': ids.at(-2)! };
  // Another's key: what is not its own it does not hear of.
  for (let i = 0; i < 8; i++) equal((await ask(cluster, 0, 'a', { stream: true }, place)).status, 404);
  equal((await ask(cluster, 0, 'a')).status, 429);
  for (let i = 0; i < 8; i++) {
    const again = await ask(cluster, 0, 'b', { stream: true }, place);
    match(await again.text(), /\[DONE\]/);
  }
  equal((await ask(cluster, 0, 'b')).status, 200);
});

test('[A4] what is there already is given once more for nothing', async () => {
  await using cluster = await FakeCluster.of(3, { keys: keyTable([keyOf('a', null, 1_000)]) });
  for (let i = 0; i < 8; i++) {
    const again = await ask(cluster, 1, 'a', { stream: false }, { 'idempotency-key': 'once' });
    equal(again.status, 200);
    await again.text();
  }
});

/** Resolves once so many more requests have come in, each of which goes or waits at once. */
function entering(node: FakeNode): (count: number) => Promise<void> {
  const admit = mock.method(node.accounts, 'admit');
  return (count) => until(() => admit.mock.callCount() >= count, `${count} have come in`);
}

test('[A8] while every engine has a long queue keys take turns here, and of one key the more urgent goes first', async () => {
  await using cluster = await FakeCluster.of(1, { keys: keyTable([keyOf('a', null), keyOf('b', null)]) });
  const node = cluster.get(0);
  node.heard.set(node.id, { running: 32, waiting: 40 });
  const send = (key: string, name: string, priority: number): Promise<Response> =>
    ask(cluster, 0, key, { priority, user: name });
  const entered = entering(node);
  const answers: Promise<Response>[] = [];
  for (const [key, name, priority] of [
    ['a', 'a1', 0],
    ['a', 'a2', 0],
    ['b', 'b1', 0],
    ['b', 'late', 9],
    ['a', 'urgent', -1],
  ] as const) {
    answers.push(send(key, name, priority));
    await entered(answers.length);
  }
  equal(node.engine.asked.length, 0);
  node.heard.set(node.id, { running: 0, waiting: 0 });
  for (const answer of await Promise.all(answers)) equal(answer.status, 200);
  const order = node.engine.asked.map(({ body }) => body['user']);
  deepEqual(order, ['urgent', 'b1', 'a1', 'late', 'a2']);
});

test('a client that leaves while it waits is asked of nobody', async () => {
  await using cluster = await FakeCluster.of(1, { keys: keyTable([keyOf('a', null)]) });
  const node = cluster.get(0);
  node.heard.set(node.id, { running: 32, waiting: 40 });
  const entered = entering(node);
  const abort = new AbortController();
  const gone = fetch(`${node.url}/v1/embeddings`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Bearer sk-a' },
    body: JSON.stringify({ model: 'tiny', input: 'x' }),
    signal: abort.signal,
  }).catch(() => null);
  await entered(1);
  abort.abort();
  await gone;
  await until(() => node.named('request.answered').length === 1, 'the request is over');
  node.heard.set(node.id, { running: 0, waiting: 0 });
  equal((await ask(cluster, 0, 'a')).status, 200);
  equal(node.engine.asked.length, 1);
});
