/** What one key takes of a node, and what the other keys have then: over real gateways with little room. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import { openIntake } from '../../src/gateway/intake.ts';
import { keyTable, type KeyTable } from '../../src/gateway/keys.ts';
import { everyone } from '../../src/std/room.ts';
import { FakeCluster, until } from './fake-cluster.ts';
import { counting } from './fake-engine.ts';

const unlimited = { requestsPerMinute: null, tokensPerMinute: null };
const keysOf = (...names: readonly string[]): KeyTable =>
  keyTable(names.map((name) => ({ name, sha256: hash('sha256', `sk-${name}`, 'hex'), limits: unlimited })));

function post(
  cluster: FakeCluster,
  key: string,
  { path = '/v1/chat/completions', node = 0, headers = {}, ...sent }: Sent = {},
): Promise<Response> {
  return fetch(cluster.get(node).url + path, {
    method: 'POST',
    // Whoever waits in vain fails.
    signal: AbortSignal.timeout(30_000),
    headers: { 'content-type': 'application/json', authorization: `Bearer sk-${key}`, ...headers },
    body: JSON.stringify({
      model: 'tiny',
      stream: true,
      messages: [{ role: 'user', content: 'count' }],
      ...sent,
    }),
  });
}

type Sent = {
  readonly path?: string;
  readonly node?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly [field: string]: unknown;
};

type Complaint = { readonly code: string; readonly message: string; readonly type: string };

async function complaintOf(response: Response): Promise<Complaint> {
  ok(Number(response.headers.get('retry-after')) >= 1);
  return ((await response.json()) as { error: Complaint }).error;
}

/** Opens streams, one after the other, until one is refused. */
async function openAll(
  cluster: FakeCluster,
  key: string,
): Promise<{ streams: Response[]; refused: Response }> {
  const streams: Response[] = [];
  for (;;) {
    const response = await post(cluster, key);
    if (response.status !== 200) return { streams, refused: response };
    streams.push(response);
  }
}

/** All of them to their end, which comes soon now. */
async function isWhole(cluster: FakeCluster, ...streams: readonly Response[]): Promise<boolean> {
  for (const { engine } of cluster.nodes) engine.paceMs = 0;
  const texts = await Promise.all(streams.map((response) => response.text()));
  return texts.every((text) => / 400".*\[DONE\]/s.test(text) && !text.includes('error'));
}

/** Engines whose answers take their time until they need not. */
async function slow(count: number, options: Parameters<typeof FakeCluster.of>[1]): Promise<FakeCluster> {
  const cluster = await FakeCluster.of(count, options);
  for (const { engine } of cluster.nodes) Object.assign(engine, { script: counting(400), paceMs: 100 });
  return cluster;
}

test('[A12] one key that opens all the streams it can leaves places to others, and none of those that run is cut', async () => {
  await using cluster = await slow(1, { keys: keysOf('a', 'b', 'c'), generationsMax: 8 });
  const { streams, refused } = await openAll(cluster, 'a');
  equal(streams.length, 6);
  const { code, type, message } = await complaintOf(refused);
  deepEqual([refused.status, code, type], [429, 'overloaded', 'rate_limit_error']);
  match(message, /part of the running answers .* ask again when some of its own are over/);
  const others = await Promise.all([post(cluster, 'b'), post(cluster, 'c')]);
  deepEqual(
    others.map(({ status }) => status),
    [200, 200],
  );
  const full = await post(cluster, 'b');
  equal(full.status, 503);
  match((await complaintOf(full)).message, /as many running answers as it takes: .* ask another node/);
  ok(await isWhole(cluster, ...streams, ...others));
  equal((await post(cluster, 'a')).status, 200);
});

test('[A12] a key that is the only one, and an API that is open, have every place', async () => {
  for (const keys of [keysOf('a'), null]) {
    await using cluster = await slow(1, { keys, generationsMax: 8 });
    const { streams, refused } = await openAll(cluster, 'a');
    deepEqual([streams.length, refused.status], [8, 503]);
    ok(await isWhole(cluster, ...streams));
  }
});

test('[A12] the rest of an answer has a place although its key has its part of them', async () => {
  await using cluster = await slow(2, { keys: keysOf('a', 'b'), generationsMax: 8 });
  const first = await post(cluster, 'a', { node: 1 });
  let heard = '';
  for await (const part of first.body!.pipeThrough(new TextDecoderStream())) {
    heard += part;
    if (heard.split('\n\n').length > 4) break;
  }
  const { streams, refused } = await openAll(cluster, 'a');
  deepEqual([streams.length, refused.status], [6, 429]);
  const [, last] = /.*\nid: (\S+)\ndata: .*\n\n/s.exec(heard)!;
  const rest = await post(cluster, 'a', { headers: { 'last-event-id': last! } });
  equal(rest.status, 200);
  ok(await isWhole(cluster, rest, ...streams));
});

test('[A12] requests of one key that are never over leave connections to others', async () => {
  await using cluster = await FakeCluster.of(1, { keys: keysOf('a', 'b'), connectionsMax: 8 });
  const { engine } = cluster.get(0);
  engine.mode = 'silent';
  const asked = { path: '/v1/messages' };
  const waiting = Array.from({ length: 6 }, () => post(cluster, 'a', asked));
  await until(() => engine.running === 6, 'they are under way');
  const refused = await post(cluster, 'a', asked);
  deepEqual([refused.status, refused.headers.get('connection')], [429, 'close']);
  match((await complaintOf(refused)).message, /part of the requests under way/);
  engine.mode = 'well';
  equal((await post(cluster, 'b', { path: '/v1/embeddings', input: 'words' })).status, 200);
  for (const answer of await Promise.all(waiting)) match(await answer.text(), /event: done/);
});

test('[A12] large answers of one key leave room to those of others', async () => {
  await using cluster = await FakeCluster.of(1, { keys: keysOf('a', 'b'), answersBytesMax: 1_000_000 });
  const { engine } = cluster.get(0);
  const lastWord = Promise.withResolvers<void>();
  engine.lastWord = lastWord.promise;
  const asked = { path: '/v1/embeddings', stream: false };
  engine.padding = 400_000;
  const first = post(cluster, 'a', asked);
  await until(() => engine.written === 1 && engine.unsent === 0, 'most of it is here');
  const second = await post(cluster, 'a', asked);
  equal(second.status, 503);
  match((await complaintOf(second)).message, /Too many large answers at once: ask again/);
  engine.padding = 300_000;
  const other = post(cluster, 'b', asked);
  await until(() => engine.written === 3 && engine.unsent === 0, 'and of another');
  lastWord.resolve();
  deepEqual([(await first).status, (await other).status], [200, 200]);
});

test('[A12] logs of one key leave room at their holders to those of others, and an answer says how many have its own', async () => {
  await using cluster = await slow(2, { keys: keysOf('a', 'b'), copiesBytesMax: 400_000 });
  const long = (letters: number) => ({ messages: [{ role: 'user', content: 'x'.repeat(letters) }] });
  const replicas = ({ headers }: Response): string | null => headers.get('x-synkti-replicas');
  const first = await post(cluster, 'a', long(250_000));
  equal(replicas(first), '1');
  const second = await post(cluster, 'a', long(250_000));
  deepEqual([second.status, replicas(second)], [200, '0']);
  const other = await post(cluster, 'b', long(150_000));
  equal(replicas(other), '1');
  equal(cluster.get(1).journals.held().streams, 1);
  // Whose copy gave way goes on as it did.
  ok(await isWhole(cluster, first, second, other));
});

/** A request whose body comes as the test says. */
function arriving(): { readonly request: IncomingMessage; send: (part: Buffer) => void; over: () => void } {
  const request = new EventEmitter() as IncomingMessage;
  Object.assign(request, { headers: { 'content-length': '1' }, resume: () => request });
  return {
    request,
    send: (part) => void request.emit('data', part),
    over: () => void request.emit('end'),
  };
}

test('[A12] bodies of one key that are being taken in leave room to those of others', async () => {
  const part = Buffer.alloc(16 * 1_024 ** 2);
  for (const [owner, most] of [
    ['a', 24],
    [everyone, 32],
  ] as const) {
    const intake = openIntake(part.length);
    const told: number[] = [];
    const response = {
      writeHead: (status: number) => void told.push(status),
      end: () => {},
    } as unknown as ServerResponse;
    const come = (name: string) => {
      const one = arriving();
      const body = intake.read(one.request, response, name);
      one.send(part);
      return { ...one, body };
    };
    const coming = Array.from({ length: most }, () => come(owner));
    deepEqual(told, []);
    equal(await come(owner).body, null);
    deepEqual(told.splice(0), [owner === everyone ? 503 : 429]);
    if (owner === everyone) continue;
    const other = come('b');
    other.over();
    equal((await other.body)?.length, part.length);
    coming[0]!.over();
    await coming[0]!.body;
    const again = come(owner);
    again.over();
    equal((await again.body)?.length, part.length);
    deepEqual(told, []);
  }
});
