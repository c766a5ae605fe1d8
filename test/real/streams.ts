/** Streams of the official client whose token ids are kept, so that two runs of the same requests can be compared. */
import OpenAI from 'openai';

export type Streamed = {
  readonly api: string;
  ids: readonly number[];
  finished: boolean;
  /** Why it did not finish. */
  error: string | null;
};

export type Streaming = { readonly all: readonly Streamed[]; readonly done: Promise<void> };

type Chunk = {
  readonly choices: readonly {
    readonly token_ids?: readonly number[] | null;
    readonly finish_reason: string | null;
  }[];
};

/**
 * `count` requests spread over the nodes, chats and completions in turn. Greedy and of a fixed length, so the same
 * call gives the same ids every time.
 */
export function startStreams(
  options: {
    readonly apis: readonly string[];
    readonly model: string;
    readonly count: number;
    readonly maxTokens: number;
  },
  signal: AbortSignal,
): Streaming {
  const clients = options.apis.map(
    (api) => new OpenAI({ baseURL: `${api}/v1`, apiKey: 'none', maxRetries: 0, timeout: 300_000 }),
  );
  const all = Array.from({ length: options.count }, (_, i): Streamed => {
    const api = options.apis[i % options.apis.length]!;
    return { api, ids: [], finished: false, error: null };
  });
  const done = Promise.all(
    all.map(async (streamed, i) => {
      const isChat = Math.floor(i / clients.length) % 2 === 0;
      try {
        const stream = await open(clients[i % clients.length]!, isChat, i, options, signal);
        for await (const { choices } of stream) {
          streamed.ids = [...streamed.ids, ...(choices[0]?.token_ids ?? [])];
          streamed.finished ||= choices[0]?.finish_reason === 'length';
        }
        if (!streamed.finished) streamed.error = 'ended without a finish reason';
      } catch (error) {
        streamed.error = String(error);
      }
    }),
  );
  return { all, done: done.then(() => undefined) };
}

async function open(
  client: OpenAI,
  isChat: boolean,
  i: number,
  { model, maxTokens }: { readonly model: string; readonly maxTokens: number },
  signal: AbortSignal,
): Promise<AsyncIterable<Chunk>> {
  const body = {
    model,
    temperature: 0,
    max_tokens: maxTokens,
    stream: true as const,
    ignore_eos: true,
    return_token_ids: true,
  };
  const text = `Tell me, in your own words, what number ${i} did next.`;
  const stream = isChat
    ? await client.chat.completions.create(
        { ...body, messages: [{ role: 'user', content: text }] },
        { signal },
      )
    : await client.completions.create({ ...body, prompt: text }, { signal });
  return stream as AsyncIterable<Chunk>;
}

/** Every position that differs, is missing or too many. */
export function wrongTokens(expected: readonly number[], seen: readonly number[]): number {
  const length = Math.max(expected.length, seen.length);
  return Array.from({ length }, (_, i) => expected[i] !== seen[i]).filter(Boolean).length;
}
