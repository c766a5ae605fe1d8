/** What is passed through over a long time, and much of it at once. */
import { deepEqual, equal, match } from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Way } from '../../src/gateway/way.ts';
import { refuse } from '../../src/mtls/peer-way.ts';
import { Failure } from '../../src/std/failure.ts';
import { FakeCluster, until } from './fake-cluster.ts';
import { fastClock } from './fast-clock.ts';

/** Longer than any of these takes on a busy machine. */
const patienceMs = 30_000;

const ask = (cluster: FakeCluster): Promise<Response> =>
  fetch(`${cluster.get(0).url}/v1/embeddings`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'tiny', input: 'a' }),
  });

test('each loss of a member leaves the whole time to find another, however long ago the last one was', async () => {
  const { clock, skip } = fastClock();
  await using cluster = await FakeCluster.of(3, { clock });
  const [, one, two] = cluster.nodes.map((node) => node.engine);
  const [entry, first, second] = cluster.nodes;
  entry!.standing = 'suspect';
  second!.standing = 'suspect';
  for (const engine of [one!, two!]) engine.paceMs = 600_000;
  const answer = ask(cluster);
  await until(() => one!.running === 1, 'the first has it', patienceMs);
  first!.standing = 'suspect';
  second!.standing = 'ready';
  await one!.die();
  await until(() => two!.running === 1, 'the second has it', patienceMs);
  // It computes for a minute.
  skip(60_000);
  second!.standing = 'suspect';
  await two!.die();
  await until(() => entry!.sent.get(second!.id) === 0, 'the second is lost', patienceMs);
  entry!.standing = 'ready';
  equal((await answer).status, 200);
  deepEqual([entry!.engine.asked.length, entry!.facts.filter(({ fact }) => fact === 'request.cut')], [1, []]);
  for (const engine of [one!, two!]) await engine.listen();
});

test('members that drain before anybody has heard of it cost a request nothing, however many they are', async () => {
  await using cluster = await FakeCluster.of(6);
  const [entry, ...others] = cluster.nodes;
  for (const node of others.slice(0, 4)) node.drainsUnheard = true;
  for (const { id, drainsUnheard } of cluster.nodes)
    entry!.heard.set(id, { running: drainsUnheard ? 0 : id === entry!.id ? 400 : 100, waiting: 0 });
  const answer = await ask(cluster);
  deepEqual([answer.status, answer.headers.get('x-synkti-served-by')], [200, 'n5']);
  deepEqual(entry!.suspected, []);
});

test('what waits at a member in doubt is asked of the next one that is there, while it is in doubt', async () => {
  for (const isTrusted of [true, false]) {
    const { clock, skip } = fastClock();
    await using cluster = await FakeCluster.of(3, { clock });
    const [entry, first, other] = cluster.nodes;
    entry!.standing = 'suspect';
    other!.standing = 'starting';
    first!.engine.paceMs = 600_000;
    const answer = ask(cluster);
    await until(() => first!.engine.running === 1, 'it has it', patienceMs);
    first!.standing = 'suspect';
    entry!.moves.tell(first!.id, 'suspect');
    /** Whatever is due by then has happened. */
    const pass = async (ms: number): Promise<void> => {
      skip(ms);
      await new Promise<void>((resolve) => clock.wakeAt(clock.now(), resolve));
    };
    await pass(300);
    equal(entry!.sent.get(first!.id), 1);
    other!.standing = 'ready';
    if (isTrusted) first!.standing = 'ready';
    await pass(300);
    equal(entry!.sent.get(first!.id), isTrusted ? 1 : 0);
    if (isTrusted) {
      await first!.engine.die();
      await first!.engine.listen();
    }
    equal((await answer).headers.get('x-synkti-served-by'), 'n2');
  }
});

test('members whose lines are full or left are in no doubt and cost a request nothing, however many they are', async () => {
  await using cluster = await FakeCluster.of(6);
  const [entry, ...others] = cluster.nodes;
  const full = others.slice(0, 4).map(({ id }) => id);
  let turnedAway = 0;
  const dispatch: Way['dispatch'] = (_, handler) => {
    turnedAway++;
    queueMicrotask(() => refuse(handler, new Failure('busy', 'call: busy: full')));
    return true;
  };
  for (const { id } of cluster.nodes) {
    if (full.includes(id)) entry!.ways.set(id, { dispatch, destroy: async () => {} });
    entry!.heard.set(id, { running: full.includes(id) ? 0 : id === entry!.id ? 400 : 100, waiting: 0 });
  }
  const answer = await ask(cluster);
  deepEqual([answer.status, answer.headers.get('x-synkti-served-by')], [200, 'n5']);
  deepEqual([turnedAway, entry!.suspected], [4, []]);
});

test('who asks while nobody begins anything is told to come back', async () => {
  const { clock, skip } = fastClock();
  await using cluster = await FakeCluster.of(3, { clock });
  cluster.get(0).standing = 'suspect';
  for (const node of cluster.nodes) node.drainsUnheard = true;
  const answer = ask(cluster);
  let isOver = false;
  void answer.finally(() => (isOver = true));
  await until(() => (skip(1_000), isOver), 'it is answered', patienceMs);
  const { status, headers } = await answer;
  deepEqual([status, headers.get('retry-after')], [503, '2']);
  match(await (await answer).text(), /model_unavailable/);
});

test('what this node stood still is no time in which nobody took a request', async () => {
  const { clock, skip } = fastClock();
  await using cluster = await FakeCluster.of(3, { clock });
  const [entry, ...others] = cluster.nodes;
  entry!.standing = 'suspect';
  let turnedAway = 0;
  const dispatch: Way['dispatch'] = (_, handler) => {
    turnedAway++;
    queueMicrotask(() => refuse(handler, new Failure('busy', 'call: busy: full')));
    return true;
  };
  for (const { id } of others) entry!.ways.set(id, { dispatch, destroy: async () => {} });
  const answer = ask(cluster);
  for (let round = 1; round <= 3; round++) {
    await until(() => turnedAway >= round * others.length, `it is asked for the ${round}th time`, patienceMs);
    skip(60_000);
  }
  entry!.standing = 'ready';
  deepEqual([(await answer).status, entry!.engine.asked.length], [200, 1]);
});

test('all answers in one piece that wait for their end have one bound, and what is too much is told to come back', async () => {
  await using cluster = await FakeCluster.of(1, { answersBytesMax: 1_024 ** 2 });
  const { engine, suspected } = cluster.get(0);
  const lastWord = Promise.withResolvers<void>();
  engine.padding = 700_000;
  engine.lastWord = lastWord.promise;
  const answers = [ask(cluster), ask(cluster)];
  const refused = await Promise.race(answers);
  deepEqual([refused.status, refused.headers.get('retry-after')], [503, '1']);
  match(await refused.text(), /Too many large answers at once/);
  lastWord.resolve();
  const statuses = (await Promise.all(answers)).map(({ status }) => status);
  deepEqual(statuses.sort(), [200, 503]);
  await Promise.all(answers.map(async (answer) => (await answer).bodyUsed || (await answer).text()));
  // What was held of either is free again, and our want of room is nobody's failure.
  for (let i = 0; i < 3; i++) {
    await until(() => cluster.get(0).entered === 0, 'the last one is over', patienceMs);
    const next = await ask(cluster);
    deepEqual([next.status, (await next.text()).length], [200, engine.padding + 2]);
  }
  deepEqual([engine.asked.length, suspected], [5, []]);
});

test('what was held of an answer that broke off is free again, and the next one has the room', async () => {
  await using cluster = await FakeCluster.of(1, { answersBytesMax: 1_024 ** 2 });
  const { engine } = cluster.get(0);
  engine.padding = 900_000;
  engine.lastWord = new Promise(() => {});
  const answer = ask(cluster);
  // What the socket between the two can hold is far less.
  await until(() => engine.written === 1 && engine.unsent === 0, 'most of it is here', patienceMs);
  await engine.die();
  engine.lastWord = Promise.resolve();
  await engine.listen();
  equal((await answer).status, 200);
});

test('a stream that breaks off within a line says so in an event of its own', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'synkti-half-'));
  const begun: ServerResponse[] = [];
  const engine = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write('event: half\ndata: {"a":');
    begun.push(response);
  });
  const socket = join(folder, 'engine.sock');
  await new Promise<void>((resolve) => engine.listen(socket, resolve));
  t.after(async () => {
    engine.closeAllConnections();
    engine.close();
    await rm(folder, { recursive: true });
  });
  await using cluster = await FakeCluster.of(1, { sockets: [socket] });
  const response = await fetch(`${cluster.get(0).url}/v1/responses`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'tiny', input: 'a', stream: true }),
  });
  begun[0]!.destroy();
  match(await response.text(), /^event: half\ndata: \{"a":\n\nevent: error\ndata: \{"error"/);
});
