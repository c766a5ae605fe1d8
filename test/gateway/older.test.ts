/** Nodes of a version that knows nothing of lines are asked by HTTP/1.1, a connection for each call. */
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';
import { FakeCluster } from './fake-cluster.ts';
import { countedText } from './fake-engine.ts';

test('a stream through nodes without lines is whole, also when the connection to one of them breaks', async () => {
  await using cluster = await FakeCluster.of(2, { lines: false });
  const [entry, other] = [cluster.get(0), cluster.get(1)];
  entry.heard.set(entry.id, { running: 50, waiting: 0 });
  entry.heard.set(other.id, { running: 0, waiting: 0 });
  other.engine.paceMs = 20;
  for (const breaks of [false, true]) {
    const client = new OpenAI({ baseURL: `${entry.url}/v1`, apiKey: 'none', maxRetries: 0 });
    const messages = [{ role: 'user', content: 'count' }] as const;
    const stream = await client.chat.completions.create({
      model: 'tiny',
      messages: [...messages],
      stream: true,
    });
    let text = '';
    let chunks = 0;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      if (breaks && chunks++ === 3) other.breakConnections();
    }
    equal(text, countedText(20));
    deepEqual(entry.suspected, breaks ? [other.id] : []);
  }
});
