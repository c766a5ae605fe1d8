import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import OpenAI from 'openai';
import { modelPaths } from '../../src/gateway/surface.ts';
import { after as later } from '../../src/std/time.ts';
import { systemClock } from '../../src/os/clock.ts';
import { FakeCluster, until } from './fake-cluster.ts';
import { countedText, counting } from './fake-engine.ts';

const messages = [{ role: 'user' as const, content: 'count' }];
const body = { model: 'tiny', messages, stream: true };
/** Sooner than an idle connection ends by itself. */
const bounded = { timeout: 30_000 };

let cluster: FakeCluster;
beforeEach(async () => {
  cluster = await FakeCluster.of(3);
});
afterEach(() => cluster[Symbol.asyncDispose]());

/** Makes the entry send everything to this node for as long as nothing else is heard. */
function prefer(entry: number, serving: number): void {
  for (const node of cluster.nodes)
    cluster.get(entry).heard.set(node.id, { running: node === cluster.get(serving) ? 0 : 50, waiting: 0 });
}

const post = (node: number, path: string, sent: unknown, init: RequestInit = {}): Promise<Response> =>
  fetch(cluster.get(node).url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: typeof sent === 'string' ? sent : JSON.stringify(sent),
    ...init,
  });

const clientOf = (node: number): OpenAI =>
  new OpenAI({ baseURL: `${cluster.get(node).url}/v1`, apiKey: 'none', maxRetries: 0 });

/** Reads a chat to its end and calls `onWord` with what has come so far. */
async function chat(
  node: number,
  onWord: (words: number) => void = () => {},
  rest: object = {},
): Promise<string> {
  const stream = await clientOf(node).chat.completions.create({ ...body, stream: true, ...rest });
  let text = '';
  let words = 0;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? '';
    onWord(words++);
  }
  return text;
}

test('the official client streams a chat, from our own engine and from another node', async () => {
  for (const serving of [0, 1]) {
    prefer(0, serving);
    equal(await chat(0), countedText(20));
    equal(cluster.get(serving).engine.asked.length, 1);
    match(
      await (await post(0, '/v1/chat/completions', body)).text(),
      /"finish_reason":"stop".*\n\nid: \S+\ndata: \[DONE\]\n\n$/,
    );
  }
});

test('the official client gets a whole answer, and its usage', async () => {
  prefer(0, 1);
  const answer = await clientOf(0).chat.completions.create({ model: 'tiny', messages });
  equal(answer.choices[0]?.message.content, countedText(20));
  equal(answer.usage?.completion_tokens, 21);
});

test('a stream says that it is not to be buffered, who serves it, and under which id', async () => {
  prefer(0, 2);
  const response = await post(
    0,
    '/v1/completions',
    { model: 'tiny', prompt: 'count', stream: true },
    {
      headers: { 'content-type': 'application/json', 'x-request-id': 'mine-7' },
    },
  );
  match(response.headers.get('content-type') ?? '', /^text\/event-stream/);
  equal(response.headers.get('cache-control'), 'no-cache');
  equal(response.headers.get('x-accel-buffering'), 'no');
  equal(response.headers.get('x-synkti-served-by'), 'n2');
  equal(response.headers.get('x-request-id'), 'mine-7');
  await response.text();
  equal(cluster.get(2).engine.asked[0]?.headers['x-request-id'], 'mine-7');
});

test('events reach the client as they are made, not when the answer is complete', async () => {
  prefer(0, 1);
  cluster.get(1).engine.paceMs = 20;
  const arrivals: number[] = [];
  await chat(0, () => arrivals.push(performance.now()));
  ok(arrivals.at(-1)! - arrivals[0]! > 200);
});

test('keys of clients go no further than the gateway', async () => {
  prefer(0, 1);
  await chat(0);
  equal(cluster.get(1).engine.asked[0]?.headers.authorization, undefined);
});

test('requests spread over the members, whatever node they enter by', async () => {
  await Promise.all(Array.from({ length: 30 }, (_, i) => chat(i % 3)));
  for (const node of cluster.nodes) ok(node.engine.asked.length >= 6, String(node.engine.asked.length));
});

test('the load of a member comes with its answers', async () => {
  prefer(0, 1);
  cluster.get(1).load = { running: 3, waiting: 2 };
  await chat(0);
  deepEqual(cluster.get(0).heard.get(cluster.get(1).id), { running: 3, waiting: 2 });
});

describe('a generation outlives the member that computes it', () => {
  test('when its engine is killed', async () => {
    const own = await FakeCluster.of(2);
    await using _ = own;
    own.get(1).engine.paceMs = 5;
    own.get(0).heard.set(own.get(1).id, { running: 0, waiting: 0 });
    const stream = await fetch(`${own.get(0).url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    let text = '';
    let killed: Promise<void> | null = null;
    for await (const part of stream.body!.pipeThrough(new TextDecoderStream())) {
      text += part;
      if (text.includes(' 3"')) killed ??= own.get(1).engine.die();
    }
    await killed;
    equal(text.includes('"error"'), false);
    equal(textOf(text), countedText(20));
    const [moved] = own.get(0).named('stream.moved');
    deepEqual([moved?.['from'], moved?.['to'], moved?.['cause']], ['n1', 'n0', 'eof']);
    // The node itself is well, only its engine is gone.
    deepEqual(own.get(0).suspected, []);
    // The second cluster's own disposal kills again what is dead already.
    await own.get(1).engine.listen();
  });

  test('when it drains, at once, and its engine is left alone', async () => {
    prefer(0, 1);
    cluster.get(1).engine.paceMs = 30;
    const text = await chat(0, (words) => {
      if (words === 3) cluster.drain(cluster.get(1));
    });
    equal(text, countedText(20));
    const [moved] = cluster.get(0).named('stream.moved');
    deepEqual([moved?.['cause'], Number(moved?.['tokens']) < 10], ['drain', true]);
    await until(() => cluster.get(1).engine.running === 0, 'the drained engine is idle');
  });

  test('when it falls silent in the middle, by the rhythm of the stream', async () => {
    prefer(0, 1);
    const text = await chat(0, (words) => {
      if (words === 3) cluster.get(1).engine.mode = 'silent';
    });
    equal(text, countedText(20));
    const [moved] = cluster.get(0).named('stream.moved');
    equal(moved?.['cause'], 'silence');
    // However slow this machine made that rhythm look: a stream without one has two minutes.
    ok(Number(moved?.['stallMs']) < 60_000, String(moved?.['stallMs']));
    deepEqual(cluster.get(0).doubted, ['n1']);
  });

  test('when the connection to its node breaks, and the node is suspected', async () => {
    prefer(0, 1);
    cluster.get(1).engine.paceMs = 20;
    const text = await chat(0, (words) => {
      if (words === 3) cluster.get(1).breakConnections();
    });
    equal(text, countedText(20));
    deepEqual(cluster.get(0).suspected, ['n1']);
  });

  test('when our own engine is about to stop', async () => {
    prefer(0, 0);
    cluster.get(0).engine.paceMs = 20;
    const text = await chat(0, (words) => {
      if (words === 3) cluster.get(0).cut.tell();
    });
    equal(text, countedText(20));
    equal(cluster.get(0).generating, 0);
  });

  test('when the engine of another node is about to stop', async () => {
    prefer(0, 1);
    cluster.get(1).engine.paceMs = 20;
    const text = await chat(0, (words) => {
      if (words === 3) cluster.get(1).cut.tell();
    });
    equal(text, countedText(20));
    equal(cluster.get(1).generating, 0);
  });

  test('with 40 streams on it at once, which spread over the others', async () => {
    prefer(0, 1);
    const { engine } = cluster.get(1);
    for (const node of cluster.nodes) node.engine.script = counting(120);
    // For much longer than it takes them all to begin.
    engine.paceMs = 60;
    const words: number[] = [];
    const texts = Array.from({ length: 40 }, (_, i) => chat(0, (count) => (words[i] = count)));
    await until(() => words.length === 40 && words.every((count) => count > 2), 'all are under way');
    for (const { id } of cluster.nodes) cluster.get(0).heard.set(id, { running: 0, waiting: 0 });
    const before = engine.running;
    ok(before >= 30, `${before} run there`);
    cluster.drain(cluster.get(1));
    const others = [cluster.get(0), cluster.get(2)].map(({ engine }) => engine.asked.length);
    for (const text of await Promise.all(texts)) equal(text, countedText(120));
    equal(cluster.get(0).named('stream.moved').length, before);
    const gained = [cluster.get(0), cluster.get(2)].map(({ engine }, i) => engine.asked.length - others[i]!);
    ok(Math.min(...gained) >= before / 3, `${before} went ${gained.join(' and ')}`);
  });
});

test('a member that does not admit is passed over without a word to the client', async () => {
  prefer(0, 1);
  cluster.get(1).engine.mode = 'draining';
  equal(await chat(0), countedText(20));
  cluster.get(1).engine.mode = 'broken';
  equal(await chat(0), countedText(20));
});

test('an answer in one piece that cannot be continued is asked for again', async () => {
  prefer(0, 1);
  cluster.get(1).engine.mode = 'broken';
  const response = await post(0, '/v1/chat/completions', { model: 'tiny', messages, logprobs: true });
  equal(response.status, 200);
  equal(((await response.json()) as { id: string }).id, 'whole');
});

test('a client that leaves stops the engine, here and at another node', async () => {
  for (const serving of [0, 1]) {
    prefer(0, serving);
    const { engine } = cluster.get(serving);
    engine.script = counting(10_000);
    engine.paceMs = 20;
    const abort = new AbortController();
    const response = await post(0, '/v1/chat/completions', body, { signal: abort.signal });
    await response.body?.getReader().read();
    equal(engine.running, 1);
    abort.abort();
    await until(() => engine.running === 0, 'engine is idle');
    await until(
      () => cluster.get(0).entered === 0 && cluster.get(serving).generating === 0,
      'accounts are settled',
    );
  }
});

test('streams that entered here are relayed to the agreed instant, then end by an error event', async () => {
  const node = cluster.get(0);
  prefer(0, 1);
  cluster.get(1).engine.paceMs = 50;
  const response = post(0, '/v1/chat/completions', body).then((stream) => stream.text());
  await until(() => node.entered === 1, 'entered');
  node.relayEnd.tell(later(systemClock.now(), 60_000));
  node.relayEnd.tell(later(systemClock.now(), 300));
  const text = await response;
  match(
    text,
    /data: \{"error":\{"message":"[^"]+","type":"server_error","param":null,"code":"node_leaving"\}\}\n\ndata: \[DONE\]\n\n$/,
  );
  equal(node.named('stream.entryLost').length, 1);
});

test('a node that drains takes no new requests, and says when to come back', async () => {
  cluster.get(0).standing = 'draining';
  const response = await post(0, '/v1/chat/completions', body);
  deepEqual([response.status, response.headers.get('retry-after')], [503, '1']);
  equal((await fetch(`${cluster.get(0).url}/readyz`)).status, 503);
  equal((await fetch(`${cluster.get(0).url}/healthz`)).status, 200);
});

test('whatever may be got may be asked for its head alone', async () => {
  const { url } = cluster.get(0);
  const head = (path: string): Promise<Response> => fetch(url + path, { method: 'HEAD' });
  for (const path of ['/healthz', '/readyz', '/health', '/metrics', '/v1/models']) {
    const [got, { status, headers }] = [await fetch(url + path), await head(path)];
    deepEqual([status, headers.get('content-type')], [200, got.headers.get('content-type')], path);
  }
  const posted = await head('/v1/completions');
  deepEqual([posted.status, posted.headers.get('allow')], [405, 'POST']);
  const put = await fetch(`${url}/healthz`, { method: 'PUT' });
  deepEqual([put.status, put.headers.get('allow')], [405, 'GET, HEAD']);
  cluster.get(0).standing = 'draining';
  for (const path of ['/readyz', '/health']) equal((await head(path)).status, 503);
});

test('a node passes nothing to its engine for others once it drains', async () => {
  const node = cluster.get(1);
  node.standing = 'draining';
  const response = await fetch(`http://127.0.0.1:${node.peerPort}/engine/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{}',
  });
  deepEqual([response.status, response.headers.get('x-synkti-refused')], [503, 'draining']);
  equal(node.engine.asked.length, 0);
});

test("another node reaches the engine's answering paths and nothing else of it", async () => {
  const base = `http://127.0.0.1:${cluster.get(1).peerPort}`;
  equal((await fetch(`${base}/engine/v1/models`)).status, 200);
  for (const path of [
    '/engine/metrics',
    '/engine/v1/load_lora_adapter',
    '/v1/models',
    '/engine/v1/../health',
  ])
    equal((await fetch(base + path)).status, 404, path);
  equal((await fetch(`${base}/engine/v1/completions`)).status, 405);
});

test('models, health and metrics are told', async () => {
  const base = cluster.get(2).url;
  const models = (await (await fetch(`${base}/v1/models`)).json()) as {
    data: { id: string; max_model_len: number }[];
  };
  deepEqual(
    models.data.map(({ id, max_model_len }) => [id, max_model_len]),
    [['tiny', 4_096]],
  );
  const one = await fetch(`${base}/v1/models/tiny`);
  deepEqual([one.status, await one.json()], [200, models.data[0]]);
  for (const name of ['org%2Ftiny', 'org/tiny', '%zz', '{model}', '__proto__']) {
    const none = await fetch(`${base}/v1/models/${name}`);
    const { error } = (await none.json()) as { error: { code: string; message: string } };
    deepEqual([none.status, error.code], [404, 'model_not_found'], name);
    const asked = name === 'org%2Ftiny' ? 'org/tiny' : name;
    match(error.message, new RegExp(`^The model \`${asked}\` does not exist\\. There is \`tiny\`\\.$`));
  }
  equal((await fetch(`${base}/v1/models/`)).status, 404);
  equal((await fetch(`${base}/v1/models/tiny`, { method: 'DELETE' })).headers.get('allow'), 'GET, HEAD');
  equal((await fetch(`${base}/readyz`)).status, 200);
  match(await (await fetch(`${base}/metrics`)).text(), /^synkti_drains_total\{reason="signal"\} 0$/m);
});

test('every path that a model answers is a route', async () => {
  for (const path of modelPaths)
    equal((await fetch(cluster.get(2).url + path)).headers.get('allow'), 'POST', path);
});

test('a gateway that closes lets running answers finish, and waits for nothing else', bounded, async () => {
  await using own = await FakeCluster.of(1);
  const node = own.get(0);
  node.engine.paceMs = 10;
  const response = await fetch(`${node.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const closed = node.gateway.close(new AbortController().signal);
  equal(textOf(await response.text()), countedText(20));
  await closed;
});

test('and cuts them at the deadline, with a last word', async () => {
  await using own = await FakeCluster.of(1);
  const node = own.get(0);
  node.engine.paceMs = 100;
  const response = await fetch(`${node.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  await node.gateway.close(AbortSignal.timeout(200));
  match(await response.text(), /node_leaving/);
});

const textOf = (stream: string): string =>
  stream
    .split('\n\n')
    .filter((event) => event.includes('data: {'))
    .map(
      (event) =>
        JSON.parse(event.slice(event.indexOf('{'))) as { choices: { delta: { content?: string } }[] },
    )
    .map(({ choices }) => choices[0]?.delta.content ?? '')
    .join('');
