/** `synkti/client` at real gateways, with engines that do not do well. */
import { deepEqual, equal } from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import OpenAI, { APIError } from 'openai';
import { durableFetch } from '../../src/client/index.ts';
import { FakeCluster } from '../gateway/fake-cluster.ts';

const bounded = { timeout: 30_000 };
const messages = [{ role: 'user' as const, content: 'count' }];

let cluster: FakeCluster | null = null;
afterEach(() => cluster?.[Symbol.asyncDispose]());

for (const [mode, status, code] of [
  ['mute', 502, 'answer_lost'],
  ['dead', 503, 'engines_died'],
] as const)
  test(`a request that engines are ${mode} after is repeated by nobody (${code})`, bounded, async () => {
    const origin = 'https://app.example';
    cluster = await FakeCluster.of(4, { corsOrigins: [origin] });
    const { nodes } = cluster;
    for (const { engine } of nodes) engine.mode = mode;
    const urls = nodes.map(({ url }) => `${url}/v1`);
    const asked = (): number => nodes.reduce((sum, { engine }) => sum + engine.asked.length, 0);
    for (const fetch of [globalThis.fetch, durableFetch(urls, { seekMs: 2_000 })])
      for (const stream of [true, false]) {
        const before = asked();
        const client = new OpenAI({ baseURL: urls[0]!, apiKey: 'none', defaultHeaders: { origin }, fetch });
        const found: unknown = await client.chat.completions
          .create({ model: 'tiny', messages, stream })
          .catch((error: unknown) => error);
        const { headers, ...told } = found as APIError;
        deepEqual([told.status, told.code, headers?.get('x-should-retry')], [status, code, 'false']);
        equal(headers?.get('access-control-expose-headers')?.includes('x-should-retry'), true);
        equal(asked() - before, 3);
      }
  });
