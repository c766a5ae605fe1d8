import { deepEqual, equal, match, ok, rejects, throws } from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { afterEach, test } from 'node:test';
import { AnswerLost, durableFetch, type DurableOptions, type Resumption } from '../../src/client/index.ts';
import { openNodes, textOf, wholeText, words, type FakeNodes, type Mood } from './fake-nodes.ts';

const bounded = { timeout: 20_000 };
/** A machine that stands still for some of this is no node that fell silent. */
const quick: DurableOptions = { seekMs: 10_000, silenceMs: 1_000 };

let nodes: FakeNodes | null = null;
afterEach(async () => {
  await nodes?.close();
  nodes = null;
});

async function ask(
  moods: readonly Mood[],
  given: {
    readonly count?: number;
    readonly stream?: boolean;
    readonly init?: RequestInit;
    readonly options?: DurableOptions;
  } = {},
) {
  nodes = await openNodes(given.count ?? 3, moods);
  const resumptions: Resumption[] = [];
  const durable = durableFetch(nodes.urls, {
    ...quick,
    ...given.options,
    onResume: (resumption) => resumptions.push(resumption),
  });
  const response = await durable(`${nodes.urls[0]}/chat/completions?trace=1`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Bearer secret' },
    body: JSON.stringify({ model: 'm', stream: given.stream ?? true }),
    ...given.init,
  });
  return { response, resumptions, nodes };
}

const breaks: Readonly<Record<string, Mood>> = {
  'a connection that breaks in the middle of an event': { type: 'break', after: 5 },
  'an end without [DONE]': { type: 'end', after: 5 },
  'an error event by which the node says that it leaves': { type: 'farewell', after: 5 },
  'a word that no member goes on with it': { type: 'unplaced', after: 5 },
  'a comment and its end': { type: 'comment', after: 5 },
  'a silence': { type: 'hang', after: 5 },
};
for (const [what, mood] of Object.entries(breaks))
  test(
    `after ${what} the stream goes on at the next node, and its reader sees no seam`,
    bounded,
    async () => {
      const { response, resumptions, nodes } = await ask([mood]);
      equal(textOf(await response.text()), wholeText);
      const [first, second] = nodes.heard;
      ok(first !== undefined && second !== undefined && first.node !== second.node);
      deepEqual([second.url, second.body], [first.url, first.body]);
      equal(second.headers['last-event-id'], 's1.4.h4');
      equal(second.headers.authorization, 'Bearer secret');
      equal(second.headers['x-synkti-client'], '1');
      deepEqual(
        resumptions.map(({ from, to, lastEventId }) => [
          nodes.urls.indexOf(from),
          nodes.urls.indexOf(to),
          lastEventId,
        ]),
        [[first.node, second.node, 's1.4.h4']],
      );
    },
  );

test('a stream that breaks again and again goes on as long as something comes of it', bounded, async () => {
  const { response, nodes } = await ask(words.map((): Mood => ({ type: 'break', after: 1 })));
  equal(textOf(await response.text()), wholeText);
  equal(nodes.heard.length, words.length + 1);
});

test('a comment is no event: an answer of which only that has come may begin again', bounded, async () => {
  const { response, nodes } = await ask([{ type: 'comment', after: 0 }]);
  equal(textOf(await response.text()), wholeText);
  deepEqual([nodes.heard.length, nodes.heard[1]?.headers['last-event-id']], [2, undefined]);
});

test('nodes that say nothing but comments are not asked without end', bounded, async () => {
  const { response, nodes } = await ask([
    { type: 'break', after: 2 },
    ...Array.from({ length: 20 }, (): Mood => ({ type: 'comment', after: 0 })),
  ]);
  await rejects(response.text(), AnswerLost);
  equal(nodes.heard.length, 6);
});

test('a stream of which nothing more ever comes ends in an error', bounded, async () => {
  const { response, nodes } = await ask([
    { type: 'end', after: 3 },
    ...words.map((): Mood => ({ type: 'end', after: 0 })),
  ]);
  await rejects(response.text(), AnswerLost);
  ok(nodes.heard.length < words.length);
});

test('a journal that no node has any more is an error, and never a second beginning', bounded, async () => {
  const gone: Mood = { type: 'refuse', status: 410 };
  const { response, nodes } = await ask([{ type: 'break', after: 3 }, gone, gone, gone]);
  await rejects(response.text(), (error: unknown) => error instanceof AnswerLost && error.status === 410);
  equal(nodes.heard.filter(({ headers }) => headers['last-event-id'] === undefined).length, 1);
});

test(
  'a node that knows nothing of an answer is not the last word while another one does',
  bounded,
  async () => {
    const { response } = await ask([
      { type: 'break', after: 3 },
      { type: 'refuse', status: 410 },
      { type: 'refuse', status: 503, retryAfter: 0 },
    ]);
    equal(textOf(await response.text()), wholeText);
  },
);

test('a refusal to go on that no other node would give otherwise is told at once', bounded, async () => {
  const { response, nodes } = await ask([
    { type: 'break', after: 3 },
    { type: 'refuse', status: 400 },
  ]);
  await rejects(response.text(), /status 400/);
  equal(nodes.heard.length, 2);
});

test(
  'before the first byte another node is asked, when one turns us away or is not there',
  bounded,
  async () => {
    const { response, nodes } = await ask([{ type: 'refuse', status: 503, retryAfter: 1 }]);
    equal(textOf(await response.text()), wholeText);
    equal(nodes.heard.length, 2);
    const dead = await openNodes(1);
    await dead.close();
    const durable = durableFetch([...dead.urls, nodes.urls[0]!], quick);
    for (let i = 0; i < 3; i++) equal((await durable(`${dead.urls[0]}/models`)).status, 200);
  },
);

test('a head without an event is a broken stream that may begin again', bounded, async () => {
  const { response, nodes } = await ask([{ type: 'end', after: 0 }]);
  equal(textOf(await response.text()), wholeText);
  equal(nodes.heard[1]?.headers['last-event-id'], undefined);
});

test(
  'when all turn us away for good the caller gets the last refusal, within its bound',
  bounded,
  async () => {
    const busy: Mood = { type: 'refuse', status: 503, retryAfter: 0 };
    const { response } = await ask(Array<Mood>(40).fill(busy), { options: { seekMs: 1_000 } });
    equal(response.status, 503);
    match(await response.text(), /status 503/);
  },
);

for (const [status, code] of [
  [502, 'answer_lost'],
  [503, 'engines_died'],
] as const) {
  const givenUp: Mood = { type: 'refuse', status, code };

  test(`an answer that the cluster has given up is asked for nowhere else (${code})`, bounded, async () => {
    const { response, nodes } = await ask([givenUp]);
    equal(response.status, status);
    match(await response.text(), new RegExp(code));
    equal(nodes.heard.length, 1);
  });

  test(`and where its beginning is out already, it ends in an error (${code})`, bounded, async () => {
    const { response, nodes } = await ask([{ type: 'break', after: 3 }, givenUp]);
    await rejects(
      response.text(),
      (error: unknown) => error instanceof AnswerLost && error.status === status,
    );
    equal(nodes.heard.length, 2);
  });
}

test('a limit of a key holds everywhere: who says so is the only one asked', bounded, async () => {
  const limit: Mood = { type: 'refuse', status: 429, retryAfter: 1, code: 'rate_limit_exceeded' };
  const { response, nodes } = await ask([limit]);
  equal(response.status, 429);
  equal(response.headers.get('retry-after'), '1');
  equal(nodes.heard.length, 1);
});

test('a node with too much to do is passed over, and has not failed', bounded, async () => {
  nodes = await openNodes(2, [{ type: 'refuse', status: 429, retryAfter: 1, code: 'overloaded' }]);
  const durable = durableFetch(nodes.urls, quick);
  for (let i = 0; i < 3; i++) equal((await durable(`${nodes.urls[0]}/models`)).status, 200);
  const asked = nodes.heard.map(({ node }) => node);
  // It has its turn again, and is asked first.
  deepEqual(asked, [asked[0], asked[1], asked[1], asked[0]]);
});

test('what is not streamed is asked again with the key under which it was asked first', bounded, async () => {
  const { response, nodes } = await ask([{ type: 'break', after: 0 }], { stream: false });
  const answer = (await response.json()) as { choices: [{ message: { content: string } }] };
  equal(answer.choices[0].message.content, wholeText);
  const keys = nodes.heard.map(({ headers }) => headers['idempotency-key']);
  equal(keys.length, 2);
  match(String(keys[0]), /^[\da-f-]{32,36}$/);
  equal(keys[0], keys[1]);
});

test('only what a cluster answers once carries a key', bounded, async () => {
  nodes = await openNodes(1);
  const durable = durableFetch(nodes.urls, quick);
  const paths = ['/chat/completions', '/completions?a=b', '/embeddings', '/responses', '/messages'];
  for (const path of paths) await durable(nodes.urls[0] + path, { method: 'POST', body: '{}' });
  const keyed = nodes.heard.filter(({ headers }) => headers['idempotency-key'] !== undefined);
  deepEqual(
    keyed.map(({ url }) => url),
    ['/v1/chat/completions', '/v1/completions?a=b'],
  );
});

test('a caller that aborts hears its own reason, and the node sees it leave', bounded, async () => {
  const abort = new AbortController();
  const { response, nodes } = await ask([{ type: 'hang', after: 2 }], { init: { signal: abort.signal } });
  const reading = response.text();
  const reason = new Error('enough');
  abort.abort(reason);
  await rejects(reading, (error: unknown) => error === reason);
  while (nodes.left() === 0) await new Promise((resolve) => setImmediate(resolve));
  equal(nodes.heard.length, 1);
});

test('a reader that stops reading closes the connection', bounded, async () => {
  const { response, nodes } = await ask([{ type: 'hang', after: 2 }]);
  const reader = response.body!.getReader();
  await reader.read();
  await reader.cancel();
  while (nodes.left() === 0) await new Promise((resolve) => setImmediate(resolve));
});

test('events without ids are passed on as they are', bounded, async () => {
  nodes = await openNodes(2, [{ type: 'end', after: 4 }], false);
  const durable = durableFetch(nodes.urls, quick);
  const body = '{"stream":true}';
  const response = await durable(`${nodes.urls[0]}/chat/completions`, { method: 'POST', body });
  equal((await response.text()).match(/data: /g)?.length, 4);
});

test('a Request is as good as a URL with its options', bounded, async () => {
  nodes = await openNodes(2, [{ type: 'break', after: 2 }]);
  const durable = durableFetch(nodes.urls, quick);
  const request = new Request(`${nodes.urls[1]}/chat/completions`, {
    method: 'POST',
    body: '{"stream":true}',
  });
  equal(textOf(await (await durable(request)).text()), wholeText);
});

test('a Request whose body is no text arrives as it is, whichever node takes it', bounded, async () => {
  nodes = await openNodes(2, [{ type: 'refuse', status: 503 }]);
  const durable = durableFetch(nodes.urls, quick);
  const recording = new Uint8Array([0, 255, 254, 128, 13, 10, 200]);
  const request = new Request(`${nodes.urls[0]}/audio/transcriptions`, { method: 'POST', body: recording });
  await durable(request);
  const hex = Buffer.from(recording).toString('hex');
  deepEqual(
    nodes.heard.map(({ bytes }) => bytes.toString('hex')),
    [hex, hex],
  );
});

test('a body of bytes that asks for a stream gets one that goes on', bounded, async () => {
  const { response } = await ask([{ type: 'break', after: 3 }], {
    init: { body: new TextEncoder().encode('{"stream":true}') },
  });
  equal(textOf(await response.text()), wholeText);
});

test('a body that is read while it is sent is sent once', bounded, async () => {
  nodes = await openNodes(2, [{ type: 'refuse', status: 503 }]);
  const durable = durableFetch(nodes.urls, quick);
  async function* parts(): AsyncGenerator<Uint8Array> {
    yield* [new TextEncoder().encode('one '), new TextEncoder().encode('two')];
  }
  // As Node.js takes it, and the types of the web do not.
  const init = { method: 'POST', body: parts(), duplex: 'half' } as unknown as RequestInit;
  equal((await durable(`${nodes.urls[0]}/chat/completions`, init)).status, 503);
  deepEqual(
    nodes.heard.map(({ body }) => body),
    ['one two'],
  );
});

test('options that are there and undefined are as if they were not', bounded, async () => {
  nodes = await openNodes(2, [{ type: 'break', after: 3 }]);
  const nothing = { fetch: undefined, seekMs: undefined, headMs: undefined, wholeMs: undefined };
  const options = { ...nothing, silenceMs: undefined, onResume: undefined } as unknown as DurableOptions;
  const durable = durableFetch(nodes.urls, options);
  const init = { method: 'POST', body: '{"stream":true}' };
  equal(textOf(await (await durable(`${nodes.urls[0]}/chat/completions`, init)).text()), wholeText);
});

test('what is no URL is told at once, and asks nobody', bounded, async () => {
  for (const urls of [[], ['/v1'], ['http://']]) throws(() => durableFetch(urls), TypeError);
  nodes = await openNodes(2);
  const durable = durableFetch(nodes.urls, quick);
  await rejects(durable('/v1/chat/completions', { method: 'POST', body: '{}' }), /is not a URL/);
  equal(nodes.heard.length, 0);
});

test("what no fetch would send is its caller's mistake, told at once, and no node's", bounded, async () => {
  nodes = await openNodes(2);
  const durable = durableFetch(nodes.urls);
  const mistakes: readonly unknown[] = [
    { body: '{}' },
    { method: 'POST', body: '{}', redirect: 'bogus' },
    { method: 'TRACE' },
    { method: 'POST', body: '{}', signal: 'none' },
  ];
  for (const init of mistakes)
    await rejects(durable(`${nodes.urls[0]}/models`, init as RequestInit), TypeError);
  equal(nodes.heard.length, 0);
});

test('a refusal leaves nothing on the signal of its caller', bounded, async () => {
  const { signal } = new AbortController();
  const { response } = await ask([{ type: 'refuse', status: 400 }], { init: { signal } });
  equal(response.status, 400);
  equal(getEventListeners(signal, 'abort').length, 0);
  ok((await response.text()).length > 0);
});

test(
  "a stream follows its caller's signal in a browser of 2023 too, and leaves nothing on it",
  bounded,
  async () => {
    const { any } = AbortSignal;
    Object.assign(AbortSignal, { any: undefined });
    try {
      const { signal } = new AbortController();
      const { response } = await ask([{ type: 'break', after: 3 }], { init: { signal } });
      equal(textOf(await response.text()), wholeText);
      equal(getEventListeners(signal, 'abort').length, 0);
      await nodes?.close();
      const gone: Mood = { type: 'refuse', status: 410 };
      const lost = await ask([{ type: 'break', after: 3 }, gone, gone, gone], { init: { signal } });
      await rejects(lost.response.text(), AnswerLost);
      equal(getEventListeners(signal, 'abort').length, 0);
    } finally {
      Object.assign(AbortSignal, { any });
    }
  },
);

test('a reader that stops while it waits asks nobody any more', bounded, async () => {
  const { response, nodes } = await ask([{ type: 'hang', after: 1 }]);
  const reader = response.body!.getReader();
  await reader.read();
  const waiting = reader.read();
  // The node has said all that it will say: this read waits for its stream, to which it is handed on in a later turn.
  await new Promise((resolve) => setImmediate(resolve));
  await reader.cancel();
  await waiting;
  while (nodes.left() === 0) await new Promise((resolve) => setImmediate(resolve));
  // What had been asked any more would have come before these.
  for (const url of nodes.urls) await (await fetch(url, { method: 'POST', body: 'later' })).text();
  equal(nodes.heard.filter(({ body }) => body !== 'later').length, 1);
});
