/**
 * What a client has when the node that it is connected to is gone: it says to another one where it is, and the answer
 * goes on from there. Over real HTTP between nodes of one process; `losses.test.ts` kills daemons.
 */
import { deepEqual, equal, match, notEqual, ok } from 'node:assert/strict';
import { hash } from 'node:crypto';
import { afterEach, beforeEach, test } from 'node:test';
import { keyTable } from '../../src/gateway/keys.ts';
import { counting, countedText } from './fake-engine.ts';
import { FakeCluster, until, type FakeNode } from './fake-cluster.ts';

let cluster: FakeCluster;
const bounded = { timeout: 60_000 };

beforeEach(async () => {
  cluster = await FakeCluster.of(4);
  for (const node of cluster.nodes) {
    node.engine.script = counting(30);
    node.engine.paceMs = 8;
  }
});
afterEach(() => cluster[Symbol.asyncDispose]());

const body = {
  ...{ model: 'tiny', messages: [{ role: 'user', content: 'count' }], stream: true, temperature: 0 },
  stream_options: { include_usage: true },
};

type Heard = {
  readonly events: { readonly id: string | null; readonly data: string }[];
  isOver: boolean;
  broken: unknown;
};

async function ask(
  node: FakeNode,
  headers: Record<string, string> = {},
  sent: object = body,
): Promise<Response> {
  return fetch(`${node.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(sent),
  });
}

/** Reads until the stream ends, however it ends. */
function read(response: Response): Heard & { readonly done: Promise<void> } {
  const heard: Heard = { events: [], isOver: false, broken: null };
  const done = (async () => {
    const decoder = new TextDecoder();
    let rest = '';
    try {
      for await (const bytes of response.body!) {
        const parts = (rest + decoder.decode(bytes, { stream: true })).split('\n\n');
        rest = parts.pop()!;
        for (const part of parts) {
          const id = /^id: (.*)$/m.exec(part)?.[1] ?? null;
          heard.events.push({ id, data: part.slice(part.indexOf('data: ') + 6) });
        }
      }
    } catch (broken) {
      // A killed node breaks its connections; what came before counts.
      heard.broken = broken;
    }
    heard.isOver = true;
  })();
  return Object.assign(heard, { done });
}

const textOf = (events: Heard['events']): string =>
  events
    .filter(({ data }) => data.startsWith('{'))
    .map(({ data }) => JSON.parse(data) as { choices?: { delta?: { content?: string } }[] })
    .map(({ choices }) => choices?.[0]?.delta?.content ?? '')
    .join('');

async function refusalOf(response: Response): Promise<unknown> {
  const { error } = (await response.json()) as { error: { code: string } };
  return [response.status, error.code, response.headers.get('x-should-retry')];
}

async function cutAfter(events: number, sent: object = body, headers: Record<string, string> = {}) {
  const entry = cluster.get(0);
  const response = await ask(entry, headers, sent);
  const heard = read(response);
  await until(() => heard.events.length >= events, `${events} events`);
  await cluster.kill(entry);
  await heard.done;
  // The network may have swallowed what came after these.
  return { response, had: heard.events.slice(0, events) };
}

for (const events of [1, 2, 9, 20]) {
  test(
    `an answer whose entry node dies after ${events} events goes on at another, word for word`,
    bounded,
    async () => {
      const { had, response } = await cutAfter(events);
      // As many as had it when the head went out: the first event waits for one of the two.
      match(response.headers.get('x-synkti-replicas') ?? '', /^[12]$/);
      notEqual(response.headers.get('x-synkti-protected'), null);
      const { facts } = cluster.get(2);
      facts.length = 0;
      const rest = read(await ask(cluster.get(2), { 'last-event-id': had.at(-1)!.id! }));
      await rest.done;
      deepEqual(
        facts.map(({ fact }) => fact).filter((fact) => /^stream\.(begun|resumed|finished)$/.test(fact)),
        ['stream.resumed', 'stream.finished'],
      );
      const all = [...had, ...rest.events];
      equal(textOf(all), countedText(30));
      equal(all.at(-1)?.data, '[DONE]');
      equal(new Set(all.map(({ id }) => id)).size, all.length, 'nothing came twice');
      const usage = all.map(({ data }) => data).filter((data) => data.includes('"completion_tokens":31'));
      equal(usage.length, 1);
      const heads = new Set(all.slice(0, -1).map(({ data }) => (JSON.parse(data) as { id: string }).id));
      equal(heads.size, 1);
    },
  );
}

test(
  'the last event of a finished answer can be asked for again, and all of it at any node',
  bounded,
  async () => {
    const first = read(await ask(cluster.get(0)));
    await first.done;
    for (const [at, node] of [
      [first.events.length - 2, cluster.get(3)],
      [5, cluster.get(1)],
    ] as const) {
      const again = read(await ask(node, { 'last-event-id': first.events[at]!.id! }));
      await again.done;
      deepEqual(again.events, first.events.slice(at + 1));
    }
  },
);

test('another key gets 404, another request 409, what nobody has 410', bounded, async () => {
  const first = read(await ask(cluster.get(0), { authorization: 'Bearer one' }));
  await first.done;
  const id = first.events[4]!.id!;
  const statusOf = async (headers: Record<string, string>, sent: object = body): Promise<number> =>
    (await ask(cluster.get(1), headers, sent)).status;
  equal(await statusOf({ 'last-event-id': id, authorization: 'Bearer two' }), 404);
  equal(
    await statusOf({ 'last-event-id': id, authorization: 'Bearer one' }, { ...body, max_tokens: 3 }),
    409,
  );
  equal(await statusOf({ 'last-event-id': `${'x'.repeat(22)}.4.abc` }), 410);
  equal(await statusOf({ 'last-event-id': '12' }), 410);
  const short = { ...body, max_tokens: 12 };
  const third = read(await ask(cluster.get(0), {}, short));
  await third.done;
  const [stream] = third.events[4]!.id!.split('.');
  equal(await statusOf({ 'last-event-id': `${stream}.100000.abc` }, short), 502, 'none is so long');
});

test(
  'a key in the other header that keys come in is another owner too, and its requests are its own',
  bounded,
  async () => {
    const first = read(await ask(cluster.get(0), { 'x-api-key': 'one' }));
    await first.done;
    const from = { 'last-event-id': first.events[4]!.id! };
    equal((await ask(cluster.get(1), { ...from, 'x-api-key': 'two' })).status, 404);
    equal((await ask(cluster.get(1), from)).status, 404);
    equal((await ask(cluster.get(1), { ...from, 'x-api-key': 'one' })).status, 200);
    const asked = (): number => cluster.nodes.reduce((sum, { engine }) => sum + engine.asked.length, 0);
    const before = asked();
    for (const key of ['one', 'two', 'one'])
      await (await ask(cluster.get(2), { 'idempotency-key': 'k', 'x-api-key': key }, whole)).text();
    equal(asked() - before, 2);
  },
);

test('a key is one owner, however it is shown and whatever else is', bounded, async () => {
  const keys = keyTable(
    ['one', 'two'].map((name) => ({
      ...{ name, sha256: hash('sha256', name, 'hex') },
      limits: { requestsPerMinute: null, tokensPerMinute: null },
    })),
  );
  await using closed = await FakeCluster.of(2, { keys });
  const first = read(await ask(closed.get(0), { authorization: 'Bearer one' }));
  await first.done;
  const from = { 'last-event-id': first.events[4]!.id! };
  const statuses: number[] = [];
  for (const shown of [
    { authorization: 'bearer  one' },
    { 'x-api-key': 'one' },
    { 'x-api-key': 'one', authorization: 'Basic bWU6bWU=' },
    { authorization: 'Bearer one', 'x-api-key': 'two' },
    { authorization: 'Bearer two' },
  ]) {
    const again = await ask(closed.get(1), { ...from, ...shown });
    statuses.push(again.status);
    await again.text();
  }
  deepEqual(statuses, [200, 200, 200, 200, 404]);
});

test('of what is passed on as it is and drawn freely no node tells a second beginning', bounded, async () => {
  const free = { ...body, temperature: 1, logprobs: true };
  const { had, response } = await cutAfter(5, free);
  equal(response.headers.get('x-synkti-protected'), 'none');
  equal(response.headers.get('x-synkti-replicas'), null);
  const again = await ask(cluster.get(2), { 'last-event-id': had.at(-1)!.id! }, free);
  equal(again.status, 410);
});

test('a client that has other tokens than those that are made again hears of it', bounded, async () => {
  const { had } = await cutAfter(9);
  const [stream, tokens] = had.at(-1)!.id!.split('.');
  const from = { 'last-event-id': `${stream}.${tokens}.badbad` };
  deepEqual(await refusalOf(await ask(cluster.get(2), from)), [502, 'answer_lost', 'false']);
});

test(
  '[S35] who claims to have more than anybody has said hears 502, whatever way it is told',
  bounded,
  async () => {
    const tools = [{ type: 'function', function: { name: 'f', parameters: {} } }];
    for (const sent of [
      body,
      { ...body, max_tokens: 12 },
      { ...body, tools },
      { ...body, logprobs: true },
      { ...body, n: 2, seed: 1 },
    ])
      for (const isOver of [true, false]) {
        const heard = read(await ask(cluster.get(0), {}, sent));
        await until(() => heard.events.length > 4, 'some events');
        if (isOver) await heard.done;
        const [stream] = heard.events[3]!.id!.split('.');
        for (const tokens of [20, 31, 200, 100_000]) {
          const from = { 'last-event-id': `${stream}.${tokens}.abc` };
          deepEqual(await refusalOf(await ask(cluster.get(1), from, sent)), [502, 'answer_lost', 'false']);
        }
        await heard.done;
      }
  },
);

test(
  '[S32] what a client has and no copy has is made again, compared, and not told twice',
  bounded,
  async () => {
    const whole = read(await ask(cluster.get(0)));
    const [stream] = await until(() => whole.events.length > 3, 'some').then(() =>
      whole.events[3]!.id!.split('.'),
    );
    await cluster.kill(cluster.get(0));
    await whole.done;
    // The marks of an answer are the same in every stream: these are from one that nothing happened to.
    const other = read(await ask(cluster.get(1)));
    await other.done;
    const ahead = other.events[24]!;
    const [, tokens, hash] = ahead.id!.split('.');
    const rest = read(await ask(cluster.get(2), { 'last-event-id': `${stream}.${tokens}.${hash}` }));
    await rest.done;
    equal(textOf(rest.events), textOf(other.events.slice(25)));
    equal(rest.events.at(-1)?.data, '[DONE]');
  },
);

test(
  'while what a client has is made again it hears what keeps that from being done, and may come again',
  bounded,
  async () => {
    const other = read(await ask(cluster.get(1)));
    const broken = read(await ask(cluster.get(0)));
    await until(() => broken.events.length > 3, 'some events');
    await cluster.kill(cluster.get(0));
    await Promise.all([broken.done, other.done]);
    const [stream] = broken.events[3]!.id!.split('.');
    const [, tokens, hash] = other.events[24]!.id!.split('.');
    const from = { 'last-event-id': `${stream}.${tokens}.${hash}` };
    for (const { engine } of cluster.nodes) engine.mode = 'silent';
    const asked = (): number => cluster.nodes.reduce((sum, { engine }) => sum + engine.asked.length, 0);
    const before = asked();
    const leaving = ask(cluster.get(2), from);
    await until(() => asked() > before, 'it is made again');
    cluster.get(2).relayEnd.tell(0 as never);
    deepEqual(await refusalOf(await leaving), [503, 'node_leaving', null]);
    for (const { engine } of cluster.nodes) engine.mode = 'mute';
    deepEqual(await refusalOf(await ask(cluster.get(3), from)), [502, 'answer_lost', 'false']);
  },
);

test(
  'while what a client has is asked for again it hears that its node leaves, and goes on at another',
  bounded,
  async () => {
    const graded = { ...body, logprobs: true };
    const other = read(await ask(cluster.get(1), {}, graded));
    const broken = read(await ask(cluster.get(0), {}, graded));
    await until(() => broken.events.length > 3, 'some events');
    await cluster.kill(cluster.get(0));
    await Promise.all([broken.done, other.done]);
    const [stream] = broken.events[3]!.id!.split('.');
    const [, tokens, hash] = other.events[24]!.id!.split('.');
    const from = { 'last-event-id': `${stream}.${tokens}.${hash}`, 'x-synkti-client': '1' };
    for (const { engine } of cluster.nodes) engine.mode = 'silent';
    const asked = (): number => cluster.nodes.reduce((sum, { engine }) => sum + engine.asked.length, 0);
    const before = asked();
    const leaving = ask(cluster.get(2), from, graded);
    await until(() => asked() > before, 'it is asked for again');
    cluster.get(2).relayEnd.tell(0 as never);
    deepEqual(await refusalOf(await leaving), [503, 'node_leaving', null]);
    for (const { engine } of cluster.nodes) engine.mode = 'well';
    const rest = read(await ask(cluster.get(3), from, graded));
    await rest.done;
    equal(textOf(rest.events), textOf(other.events.slice(25)));
  },
);

test('[S31] of two connections that go on with one answer the last one has it', bounded, async () => {
  const first = read(await ask(cluster.get(0)));
  await until(() => first.events.length > 6, 'some events');
  const second = read(await ask(cluster.get(2), { 'last-event-id': first.events[5]!.id! }));
  await Promise.all([first.done, second.done]);
  match(first.events.map(({ data }) => data).join(), /stream_taken/);
  equal(textOf([...first.events.slice(0, 6), ...second.events]), countedText(30));
});

test(
  '[S31] an attempt that comes late to a node, given up for another one, is refused there',
  bounded,
  async () => {
    const first = read(await ask(cluster.get(0)));
    await until(() => first.events.length > 6, 'some events');
    const from = { 'last-event-id': first.events[5]!.id! };
    const second = read(await ask(cluster.get(2), { ...from, 'x-synkti-attempt': '2' }));
    await until(() => second.events.length > 3, 'some more');
    deepEqual(await refusalOf(await ask(cluster.get(1), { ...from, 'x-synkti-attempt': '1' })), [
      ...[409, 'stream_taken', 'false'],
    ]);
    await second.done;
    equal(textOf([...first.events.slice(0, 6), ...second.events]), countedText(30));
  },
);

test(
  'a client that goes on by itself is let go of without an error when its node leaves',
  bounded,
  async () => {
    const entry = cluster.get(0);
    const heard = read(await ask(entry, { 'x-synkti-client': '1' }));
    await until(() => heard.events.length > 6, 'some events');
    entry.relayEnd.tell(0 as never);
    await heard.done;
    notEqual(heard.events.at(-1)?.data, '[DONE]');
    ok(heard.events.every(({ data }) => !data.includes('error')));
    const rest = read(await ask(cluster.get(3), { 'last-event-id': heard.events.at(-1)!.id! }));
    await rest.done;
    equal(textOf([...heard.events, ...rest.events]), countedText(30));
  },
);

const whole = { ...body, stream: false, stream_options: undefined };

test(
  'a request with an Idempotency-Key of whatever length is answered once, at whichever node it is repeated',
  bounded,
  async () => {
    const headers = { 'idempotency-key': `once \xfc${'!'.repeat(1_000)}` };
    const at = [0, 1, 1, 2].map((index) => ask(cluster.get(index), headers, whole));
    const bodies = await Promise.all(at.map(async (response) => (await response).text()));
    const later = await (await ask(cluster.get(3), headers, whole)).text();
    deepEqual(new Set([...bodies, later]).size, 1);
    const [one] = bodies;
    match(one!, / 29 30"/);
    const other = await ask(cluster.get(3), headers, { ...whole, max_tokens: 4 });
    equal(other.status, 409);
  },
);

test('a repeated request whose node died goes on where that one was', bounded, async () => {
  const headers = { 'idempotency-key': 'again' };
  for (const { engine } of cluster.nodes) engine.paceMs = 40;
  const lost = ask(cluster.get(0), headers, whole).catch(() => null);
  // Of copies that are asked for, the first may be all that is waited for.
  const copies = (): readonly number[] =>
    cluster.nodes.map(({ journals }) => journals.held().bytes).filter((bytes) => bytes > 0);
  await until(() => copies().length === 2, 'its beginning is copied, twice');
  const before = copies();
  await until(() => copies().every((bytes, i) => bytes > before[i]!), 'and more of it');
  await cluster.kill(cluster.get(0));
  await lost;
  const answer = await (await ask(cluster.get(1), headers, whole)).text();
  match(answer, / 1 2 3 .* 29 30"/);
  const asked = cluster.nodes.flatMap(({ engine }) => engine.asked.map(({ path }) => path));
  ok(asked.includes('/v1/completions'), 'continued, not begun again');
});
