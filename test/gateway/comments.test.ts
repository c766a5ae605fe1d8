/** What keeps the connection of a stream open that has nothing to say, over real HTTP and with time that tests skip. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { FakeCluster, until, type FakeNode } from './fake-cluster.ts';
import { counting, countedText } from './fake-engine.ts';
import { fastClock } from './fast-clock.ts';

const bounded = { timeout: 60_000 };
const plain = { model: 'tiny', messages: [{ role: 'user', content: 'count' }], stream: true, temperature: 0 };
/** Asked again after a loss. */
const graded = { ...plain, logprobs: true };

/** One request, read until its answer ends, however it ends. */
class Heard {
  status: number | null = null;
  headers: Headers | null = null;
  /** What its connection broke by; null: it did not. */
  broken: unknown = null;
  readonly done: Promise<void>;
  #text = '';

  constructor(node: FakeNode, body: object, headers: Record<string, string>) {
    this.done = this.#read(node, body, headers);
  }

  get comments(): number {
    return this.#parts().filter((part) => part === ':').length;
  }

  get events(): readonly string[] {
    return this.#parts().filter((part) => part !== ':');
  }

  #parts(): readonly string[] {
    return this.#text.split('\n\n').filter((part) => part !== '');
  }

  async #read(node: FakeNode, body: object, headers: Record<string, string>): Promise<void> {
    const response = await fetch(`${node.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
    this.status = response.status;
    this.headers = response.headers;
    const decoder = new TextDecoder();
    try {
      for await (const bytes of response.body!) this.#text += decoder.decode(bytes, { stream: true });
    } catch (broken) {
      // A killed node breaks its connections; what came before counts.
      this.broken = broken;
    }
  }
}

const ask = (node: FakeNode, body: object, headers: Record<string, string> = {}): Heard =>
  new Heard(node, body, headers);

const textIn = (events: readonly string[]): string =>
  events
    .map((event) => event.slice(event.indexOf('data: ') + 6))
    .filter((data) => data.startsWith('{'))
    .map((data) => JSON.parse(data) as { choices?: { delta?: { content?: string } }[] })
    .map(({ choices }) => choices?.[0]?.delta?.content ?? '')
    .join('');

const idOf = (event: string): string => /^id: (.*)$/m.exec(event)![1]!;

/** A cluster whose engines say no more, and what a client needs to go on with an answer of which it has so much. */
async function broken(body: object, events: number) {
  const { clock, skip } = fastClock();
  const cluster = await FakeCluster.of(4, { clock });
  for (const { engine } of cluster.nodes) {
    engine.script = counting(30);
    engine.paceMs = 8;
  }
  const [whole, cut] = [ask(cluster.get(1), body), ask(cluster.get(0), body)];
  await until(() => cut.events.length > 3, 'some events');
  await cluster.kill(cluster.get(0));
  await Promise.all([whole.done, cut.done]);
  const [stream] = idOf(cut.events[0]!).split('.');
  // The marks of an answer are the same in every stream: these are from one that nothing happened to.
  const [, tokens, hash] = idOf(whole.events[events - 1]!).split('.');
  for (const { engine } of cluster.nodes) engine.mode = 'silent';
  const lack = textIn(whole.events.slice(events));
  return { cluster, clock, skip, stream, lack, from: { 'last-event-id': `${stream}.${tokens}.${hash}` } };
}

const asked = ({ nodes }: FakeCluster): number =>
  nodes.reduce((sum, { engine }) => sum + engine.asked.length, 0);

/** Where something of the answer was written down, that cannot be asked for elsewhere; else it may. */
const none = /"code":"(answer_lost|model_unavailable)"/;

/** Until an engine has begun to answer, and not a word of it. */
async function taken(cluster: FakeCluster, before: number): Promise<void> {
  await until(() => asked(cluster) > before, 'an engine is asked');
  // It answers by its head at once, and the way from there is the shorter one.
  for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
}

for (const [how, body] of [
  ['made again up to where its client is', plain],
  ['asked for again', graded],
] as const)
  test(
    `[S34] an answer that is ${how} for long has its head after a while, and comments until it goes on`,
    bounded,
    async () => {
      const { cluster, clock, skip, stream, lack, from } = await broken(body, 25);
      await using _ = cluster;
      const before = asked(cluster);
      const askedAt = clock.now();
      const rest = ask(cluster.get(2), body, from);
      await taken(cluster, before);
      await until(() => (skip(250), rest.status !== null), 'a head');
      // Until then what keeps it from going on is told by a status.
      ok(clock.now() - askedAt >= 15_000);
      for (let said = 1; said <= 3; said++)
        await until(() => (skip(6_000), rest.comments >= said), 'a comment');
      equal(rest.status, 200);
      equal(rest.headers?.get('content-type'), 'text/event-stream; charset=utf-8');
      equal(rest.headers?.get('x-synkti-stream'), stream);
      deepEqual(rest.events, []);
      for (const { engine } of cluster.nodes) engine.mode = 'well';
      await rest.done;
      equal(textIn(rest.events), lack);
      match(rest.events.at(-1)!, /\[DONE\]$/);
    },
  );

test(
  '[S34] what keeps an answer from going on is told in its stream once the head is out, and ends it',
  bounded,
  async () => {
    for (const [body, leaves] of [
      [plain, false],
      [graded, false],
      [plain, true],
      [graded, true],
    ] as const) {
      const { cluster, skip, from } = await broken(body, 25);
      await using _ = cluster;
      const before = asked(cluster);
      const rest = ask(cluster.get(2), body, { ...from, 'x-synkti-client': '1' });
      await taken(cluster, before);
      await until(() => (skip(6_000), rest.comments > 0), 'a comment');
      if (leaves) cluster.get(2).relayEnd.tell(0 as never);
      else await Promise.all(cluster.nodes.map(({ engine }) => engine.die()));
      await until(() => (skip(1_000), rest.events.length > 0), 'the last word');
      await rest.done;
      const [first, last] = rest.events;
      match(first!, leaves ? /"code":"node_leaving"/ : none);
      deepEqual([rest.status, last, rest.events.length], [200, 'data: [DONE]', 2]);
    }
  },
);

test('[S34] while no engine is at it nothing is said, and the last word is a status', bounded, async () => {
  const { cluster, skip, from } = await broken(plain, 25);
  await using _ = cluster;
  for (const node of cluster.nodes) node.standing = 'starting';
  cluster.get(2).standing = 'suspect';
  const rest = ask(cluster.get(2), plain, from);
  await until(() => (skip(1_000), rest.status !== null), 'an answer');
  await rest.done;
  deepEqual([rest.status, rest.comments], [503, 0]);
});

test(
  '[S34] a stream that falls silent after it began has comments, and each event once',
  bounded,
  async () => {
    const { clock, skip } = fastClock();
    await using cluster = await FakeCluster.of(2, { clock });
    for (const { engine } of cluster.nodes) {
      engine.script = counting(30);
      engine.paceMs = 8;
    }
    const heard = ask(cluster.get(0), plain);
    await until(() => heard.events.length > 5, 'some events');
    for (const { engine } of cluster.nodes) engine.mode = 'silent';
    for (let said = 1; said <= 3; said++)
      await until(() => (skip(6_000), heard.comments >= said), 'a comment');
    for (const { engine } of cluster.nodes) engine.mode = 'well';
    await heard.done;
    equal(textIn(heard.events), countedText(30));
  },
);

test('[S34] a new request that waits for its first token hears nothing before it', bounded, async () => {
  const { clock, skip } = fastClock();
  await using cluster = await FakeCluster.of(2, { clock });
  for (const { engine } of cluster.nodes) engine.mode = 'silent';
  const heard = ask(cluster.get(0), plain);
  await taken(cluster, 0);
  skip(30_000);
  await taken(cluster, 0);
  equal(heard.status, null);
  for (const { engine } of cluster.nodes) engine.mode = 'well';
  await heard.done;
  ok(heard.comments === 0 && heard.status === 200);
});
