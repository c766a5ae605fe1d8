/** A stream that goes on in another connection, which is one that its own client gave up, or somebody else's. */
import { deepEqual, equal, match } from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { durableFetch } from '../../src/client/index.ts';
import { openNodes, textOf, wholeText, words, type FakeNodes, type Mood } from './fake-nodes.ts';

const bounded = { timeout: 20_000 };

let nodes: FakeNodes | null = null;
afterEach(async () => {
  await nodes?.close();
  nodes = null;
});

async function told(count: number, moods: readonly Mood[]) {
  nodes = await openNodes(count, moods);
  const durable = durableFetch(nodes.urls, { seekMs: 1_000, silenceMs: 100 });
  const init = { method: 'POST', body: '{"stream":true}' };
  const response = await durable(`${nodes.urls[0]}/chat/completions`, init);
  return { text: await response.text(), nodes, durable };
}

test(
  'a stream that an earlier attempt took is taken back, by one that says which it is',
  bounded,
  async () => {
    const { text, nodes } = await told(3, [
      { type: 'break', after: 5 },
      { type: 'refuse', status: 503 },
      { type: 'taken', after: 2 },
      { type: 'refuse', status: 409, code: 'stream_taken' },
    ]);
    equal(textOf(text), wholeText);
    deepEqual(
      nodes.heard.map(({ headers }) => [headers['last-event-id'], headers['x-synkti-attempt']]),
      [
        [undefined, undefined],
        ['s1.4.h4', '1'],
        ['s1.4.h4', '2'],
        ['s1.6.h6', '3'],
        ['s1.6.h6', '4'],
      ],
    );
  },
);

test('a node from which a stream was taken has not failed', bounded, async () => {
  const { text, nodes, durable } = await told(2, [{ type: 'taken', after: 5 }]);
  equal(textOf(text), wholeText);
  await durable(`${nodes.urls[0]}/models`);
  // It has its turn again, and is asked first.
  const asked = nodes.heard.map(({ node }) => node);
  deepEqual(asked, [asked[0], 1 - asked[0]!, asked[0]]);
});

test('who takes a stream again and again has it: its reader hears that', bounded, async () => {
  const { text, nodes } = await told(
    3,
    words.map((): Mood => ({ type: 'taken', after: 1 })),
  );
  match(text, /stream_taken/);
  equal(nodes.heard.length, 4);
});
