import { deepEqual, equal, match } from 'node:assert/strict';
import { hash } from 'node:crypto';
import { after, before, test } from 'node:test';
import OpenAI, { AuthenticationError } from 'openai';
import { keyTable } from '../../src/gateway/keys.ts';
import type { ApiKey } from '../../src/node/api-key.ts';
import { FakeCluster } from './fake-cluster.ts';

const keyOf = (name: string, key: string): ApiKey => ({
  name,
  sha256: hash('sha256', key, 'hex'),
  limits: { requestsPerMinute: null, tokensPerMinute: null },
});
const body = { model: 'tiny', messages: [{ role: 'user' as const, content: 'count' }] };

let cluster: FakeCluster;
before(async () => {
  cluster = await FakeCluster.of(1, { keys: keyTable([keyOf('alice', 'sk-a'), keyOf('bob', 'sk-b')]) });
});
after(() => cluster[Symbol.asyncDispose]());

const ask = (path: string, headers: Record<string, string>, sent?: string): Promise<Response> =>
  fetch(cluster.get(0).url + path, {
    headers: { ...(sent === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(sent === undefined ? {} : { method: 'POST', body: sent }),
  });

test('who shows a key is let in, as clients of OpenAI and of Anthropic show it', async () => {
  for (const headers of [
    { authorization: 'Bearer sk-a' },
    { authorization: 'bearer sk-b' },
    { 'x-api-key': 'sk-b' },
  ])
    equal((await ask('/v1/models', headers as Record<string, string>)).status, 200);
  const client = new OpenAI({ baseURL: `${cluster.get(0).url}/v1`, apiKey: 'sk-a', maxRetries: 0 });
  const answer = await client.chat.completions.create(body);
  equal(answer.choices.length, 1);
});

test('who shows none, or one that is not known, reads why in the shape of OpenAI', async () => {
  const none = await ask('/v1/chat/completions', {}, JSON.stringify(body));
  deepEqual([none.status, none.headers.get('www-authenticate')], [401, 'Bearer']);
  const { error } = (await none.json()) as { error: Record<string, unknown> };
  match(String(error['message']), /^No API key/);
  deepEqual([error['type'], error['code']], ['invalid_request_error', 'invalid_api_key']);
  const wrong = ['Bearer sk-c', 'Bearer ', 'sk-a', 'Basic sk-a', `Bearer ${'x'.repeat(5_000)}`];
  for (const authorization of wrong)
    equal((await ask('/v1/models', { authorization })).status, 401, authorization);
  const client = new OpenAI({ baseURL: `${cluster.get(0).url}/v1`, apiKey: 'sk-nobody', maxRetries: 0 });
  const refused = await client.chat.completions.create(body).catch((error: unknown) => error);
  equal(refused instanceof AuthenticationError, true);
});

test('nothing of a request without a key reaches an engine', async () => {
  const { engine } = cluster.get(0);
  engine.asked.length = 0;
  equal((await ask('/v1/completions', {}, 'x'.repeat(1_000_000))).status, 401);
  deepEqual(engine.asked, []);
});

test('load balancers and scrapers need no key', async () => {
  for (const path of ['/healthz', '/readyz', '/health', '/metrics']) equal((await ask(path, {})).status, 200);
});
