/**
 * A fixed number of long streams through a running cluster by the official client, each checked to its last token, with
 * the longest pause that its client saw.
 */
import OpenAI from 'openai';
import { expectedContinuation } from '../../src/engines/simulated/model.ts';
import type { DevNode } from './dev-cluster.ts';

export type Stream = {
  /** By which its entry node tells of it; null: nobody has taken it yet. */
  request: string | null;
  tokens: number;
  /** Between two chunks, ms. */
  longestPauseMs: number;
};

export type Streams = {
  readonly all: readonly Stream[];
  /** Resolves when each has been read to its end. Rejects when one broke off, or said a token that it should not. */
  readonly done: Promise<unknown>;
};

type Chunk = {
  readonly prompt_token_ids?: readonly number[] | null;
  readonly choices: readonly { readonly token_ids?: readonly number[] | null }[];
};

/** Spread over `entries` in turn. */
export function openStreams(
  entries: readonly DevNode[],
  asked: { readonly count: number; readonly tokens: number; readonly fetch?: typeof fetch },
): Streams {
  const all = Array.from({ length: asked.count }, (): Stream => ({
    ...{ request: null, tokens: 0, longestPauseMs: 0 },
  }));
  const runs = all.map((stream, i) => run(stream, `${entries[i % entries.length]!.api}/v1`, i, asked));
  const done = Promise.all(runs);
  done.catch(() => {}); // Whoever awaits it hears of it; until then it is not unhandled.
  return { all, done };
}

async function run(
  stream: Stream,
  baseURL: string,
  i: number,
  { tokens, fetch = globalThis.fetch }: Parameters<typeof openStreams>[1],
): Promise<void> {
  const client = new OpenAI({ baseURL, fetch, apiKey: 'none', maxRetries: 0, timeout: 60_000 });
  const body = {
    model: 'simulated',
    messages: [{ role: 'user' as const, content: `Stream ${i}: what does a spot instance fear?` }],
    max_tokens: tokens,
    temperature: 0,
    stream: true as const,
    ignore_eos: true,
    return_token_ids: true,
  };
  const { data, response } = await client.chat.completions.create(body).withResponse();
  const chunks = data as AsyncIterable<Chunk>;
  stream.request = response.headers.get('x-request-id');
  let promptIds: readonly number[] = [];
  const ids: number[] = [];
  let heardAt = performance.now();
  for await (const chunk of chunks) {
    const now = performance.now();
    stream.longestPauseMs = Math.max(stream.longestPauseMs, now - heardAt);
    heardAt = now;
    promptIds = chunk.prompt_token_ids ?? promptIds;
    ids.push(...(chunk.choices[0]?.token_ids ?? []));
    stream.tokens = ids.length;
  }
  const expected = expectedContinuation({ promptIds, count: tokens });
  const wrong = expected.findIndex((id, at) => ids[at] !== id);
  if (wrong !== -1 || ids.length !== tokens)
    throw new Error(`stream ${i}: ${ids.length} of ${tokens} tokens, the first wrong one at ${wrong}`);
}
