/**
 * Concurrent streaming chats through the official client, each held against what the simulated engine must answer:
 * its next token is a function of every earlier one, so a lost, doubled or foreign token shows at once.
 */
import OpenAI from 'openai';

export type Outcome =
  | { readonly type: 'finished' }
  /** The client's own connection died with its entry node, or was ended because that node left. */
  | { readonly type: 'entry-lost' }
  | { readonly type: 'failed'; readonly why: string };

export type Chat = {
  readonly entry: number;
  /** The member that began to answer. */
  servedBy: string | null;
  tokens: number;
  wrongTokens: number;
  outcome: Outcome | null;
};

/** Given the prompt's ids and how many follow, the ids that must follow. */
export type Expect = (promptIds: readonly number[], count: number) => readonly number[];

export type Load = {
  readonly chats: readonly Chat[];
  /** No chat begins at this node from now on; it is about to lose its socket. */
  avoid(entry: number): void;
  /** Lets running chats finish, for at most so long; what still runs then has failed. */
  finish(withinMs: number): Promise<void>;
};

type Delta = {
  readonly prompt_token_ids?: readonly number[] | null;
  readonly choices: readonly {
    readonly token_ids?: readonly number[] | null;
    readonly finish_reason: string | null;
  }[];
};

const words = ['spot', 'zone', 'token', 'drain', 'peer', 'gossip', 'lease', 'engine', 'stream', 'journal'];

export function startLoad(options: {
  readonly apis: readonly { readonly node: number; readonly url: string }[];
  readonly concurrency: number;
  readonly meanTokens: number;
  readonly expect: Expect;
  readonly isLost: (node: number) => boolean;
}): Load {
  const clients = new Map(
    options.apis.map(({ node, url }) => [
      node,
      new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0, timeout: 120_000 }),
    ]),
  );
  const chats: Chat[] = [];
  const avoided = new Set<number>();
  const stop = new AbortController();
  let stopping = false;

  async function keepChatting(worker: number): Promise<void> {
    for (let turn = 0; !stopping; turn++) {
      const open = [...clients.keys()].filter((node) => !avoided.has(node));
      const entry = open[(worker + turn) % open.length]!;
      const chat: Chat = { entry, servedBy: null, tokens: 0, wrongTokens: 0, outcome: null };
      chats.push(chat);
      const topic = `${words[worker % words.length]} ${words[turn % words.length]} ${worker}.${turn}`;
      await converse(clients.get(entry)!, chat, { topic, maxTokens: lengthOf(worker + turn) });
    }
  }

  /** Between half and one and a half times the mean: answers of one length would all begin and end together. */
  const lengthOf = (n: number): number => Math.round(options.meanTokens * (0.5 + ((n * 37) % 61) / 60));

  async function converse(
    client: OpenAI,
    chat: Chat,
    { topic, maxTokens }: { readonly topic: string; readonly maxTokens: number },
  ): Promise<void> {
    let promptIds: readonly number[] = [];
    const ids: number[] = [];
    let finished = false;
    try {
      const body = {
        model: 'simulated',
        messages: [{ role: 'user' as const, content: `Tell me about ${topic}.` }],
        max_tokens: maxTokens,
        // Without it the gateway draws with a seed of its own, and nobody could say what is right.
        temperature: 0,
        stream: true as const,
        ignore_eos: true,
        return_token_ids: true,
      };
      const { data: stream, response } = await client.chat.completions
        .create(body, { signal: stop.signal })
        .withResponse();
      chat.servedBy = response.headers.get('x-synkti-served-by');
      for await (const chunk of stream as AsyncIterable<Delta>) {
        promptIds = chunk.prompt_token_ids ?? promptIds;
        ids.push(...(chunk.choices[0]?.token_ids ?? []));
        finished ||= chunk.choices[0]?.finish_reason === 'length';
        chat.tokens = ids.length;
      }
      check(chat, ids, options.expect(promptIds, maxTokens));
      chat.outcome = finished
        ? { type: 'finished' }
        : { type: 'failed', why: 'ended without a finish reason' };
    } catch (error) {
      check(chat, ids, options.expect(promptIds, ids.length));
      const lost = options.isLost(chat.entry);
      chat.outcome = lost ? { type: 'entry-lost' } : { type: 'failed', why: String(error) };
    }
  }

  const workers = Array.from({ length: options.concurrency }, (_, worker) => keepChatting(worker));
  return {
    chats,
    avoid: (entry) => void avoided.add(entry),
    finish: async (withinMs) => {
      stopping = true;
      const late = setTimeout(() => stop.abort(), withinMs);
      await Promise.all(workers);
      clearTimeout(late);
    },
  };
}

/** Every position that differs is wrong, and so is every token that is missing or too many. */
function check(chat: Chat, ids: readonly number[], expected: readonly number[]): void {
  const length = Math.max(ids.length, expected.length);
  chat.wrongTokens = Array.from({ length }, (_, i) => ids[i] !== expected[i]).filter(Boolean).length;
}
