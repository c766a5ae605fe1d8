/** Several choices over real HTTP: each is a request of its own to an engine, and their client has one answer. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import OpenAI from 'openai';
import { FakeCluster, until } from './fake-cluster.ts';
import { counting, countedText } from './fake-engine.ts';

const bounded = { timeout: 60_000 };
const waits = 30_000;
const tokens = 60;
const asked = {
  ...{ model: 'tiny', prompt: 'count', n: 3, max_tokens: tokens, temperature: 0.9 },
  ...{ stream: true as const, stream_options: { include_usage: true } },
};
let cluster: FakeCluster;

beforeEach(async () => {
  cluster = await FakeCluster.of(3);
  for (const node of cluster.nodes) {
    node.engine.script = counting(tokens);
    node.engine.paceMs = 10;
    cluster.get(0).heard.set(node.id, { running: node === cluster.get(0) ? 50 : 0, waiting: 0 });
  }
});
afterEach(() => cluster[Symbol.asyncDispose]());

const running = (): number => cluster.nodes.reduce((sum, { engine }) => sum + engine.running, 0);
const clientOf = (): OpenAI =>
  new OpenAI({ baseURL: `${cluster.get(0).url}/v1`, apiKey: 'none', maxRetries: 0 });

test(
  '[S20] drawn freely, choices outlive their engine one by one, and their client hears one answer',
  bounded,
  async () => {
    const { data, response } = await clientOf().completions.create(asked).withResponse();
    equal(response.headers.get('x-synkti-protected'), 'exact');
    const stream = response.headers.get('x-synkti-stream')!;
    const texts = ['', '', ''];
    const heads = new Set<string>();
    let usage: unknown = null;
    let isHit = false;
    for await (const chunk of data) {
      heads.add(`${chunk.id} ${chunk.created}`);
      usage = chunk.usage ?? usage;
      for (const { index, text } of chunk.choices) texts[index] += text;
      if (isHit || !texts.every((text) => text.length > 40)) continue;
      isHit = true;
      const victim = cluster.nodes.find((node) => node !== cluster.get(0) && node.engine.running > 0);
      ok(victim !== undefined, 'choices run elsewhere as well');
      await victim.engine.die();
    }
    deepEqual(
      texts,
      [0, 1, 2].map(() => countedText(tokens)),
    );
    equal(heads.size, 1);
    const completion = 3 * tokens;
    const { prompt_tokens: prompt, ...rest } = usage as OpenAI.CompletionUsage;
    deepEqual(rest, { total_tokens: prompt + completion, completion_tokens: completion });
    const { stories } = await cluster.get(0).streams.explain(stream);
    equal(stories.length, 1);
    const [story] = stories;
    const moves = story!.steps.filter(({ type }) => type === 'moved').map(({ choice }) => choice);
    ok(moves.length >= 1, `${moves.length} moved`);
    ok(
      moves.every((choice) => choice !== null && choice < 3),
      `choices ${moves.join()} moved`,
    );
    deepEqual(story!.ways, ['ids', 'ids', 'ids']);
    deepEqual([story!.state, story!.way, story!.tokens], ['finished', 'ids', completion]);
    await until(() => running() === 0 && cluster.get(0).entered === 0, 'nothing is left', waits);
  },
);

test(
  '[S20] a client that leaves, and one whose answer another node takes over, leave no engine at work',
  bounded,
  async () => {
    const gone = new AbortController();
    const url = (node: number): string => `${cluster.get(node).url}/v1/completions`;
    const post = (node: number, more: Record<string, string> = {}, signal: AbortSignal | null = null) =>
      fetch(url(node), {
        ...{ method: 'POST', signal, body: JSON.stringify(asked) },
        headers: { 'content-type': 'application/json', ...more },
      });
    const response = await post(0, {}, gone.signal);
    let had = '';
    const decoder = new TextDecoder();
    for await (const bytes of response.body!) {
      had += decoder.decode(bytes, { stream: true });
      if (had.split('\n\n').length > 30) break;
    }
    gone.abort();
    await until(() => running() === 0, 'all engines are let go of', waits);
    equal(cluster.get(0).named('stream.abandoned').length, 1);
    const events = had.split('\n\n').slice(0, 30);
    const last = /^id: (.*)$/m.exec(events.at(-1)!)![1]!;
    const rest = await (await post(1, { 'last-event-id': last })).text();
    const texts = ['', '', ''];
    for (const event of [...events, ...rest.split('\n\n').filter(Boolean)]) {
      const data = event.slice(event.indexOf('data: ') + 6);
      if (data === '[DONE]') continue;
      const { choices } = JSON.parse(data) as { choices: { index: number; text: string }[] };
      for (const { index, text } of choices) texts[index] += text;
    }
    deepEqual(
      texts,
      [0, 1, 2].map(() => countedText(tokens)),
    );
    await until(() => running() === 0, 'all engines are let go of', waits);
  },
);
