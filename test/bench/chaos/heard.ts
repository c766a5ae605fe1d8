/** What a client hears of one streamed answer through the official client, put together choice by choice. */
import type OpenAI from 'openai';

export type Body = Readonly<Record<string, unknown>>;
export type Endpoint = 'chat' | 'completions';

export type Choice = {
  text: string;
  reasoning: string;
  /** Of tools, without the ids, which each engine draws anew. */
  readonly calls: { name: string; arguments: string }[];
  readonly ids: number[];
  /** The tokens that likelihoods were told of. */
  readonly likely: string[];
  readonly finishes: string[];
};

export type Heard = {
  promptIds: readonly number[];
  readonly choices: Map<number, Choice>;
  usage: unknown;
  /** What the head of the answer promised. */
  promise: string;
  /** Waits between two words, those for the first one and for the end included, ms. */
  readonly waits: number[];
};

/** As far as it is looked at; both endpoints' chunks together. */
type Chunk = {
  readonly prompt_token_ids?: readonly number[] | null;
  readonly usage?: unknown;
  readonly choices: readonly {
    readonly index: number;
    readonly text?: string;
    readonly delta?: {
      readonly content?: string | null;
      readonly reasoning?: string | null;
      readonly tool_calls?: readonly {
        readonly index: number;
        readonly function?: { readonly name?: string; readonly arguments?: string };
      }[];
    };
    readonly token_ids?: readonly number[] | null;
    readonly prompt_token_ids?: readonly number[] | null;
    readonly logprobs?: {
      readonly content?: readonly { readonly token: string }[] | null;
      readonly tokens?: readonly string[] | null;
    } | null;
    readonly finish_reason: string | null;
  }[];
};

export const nothingHeard = (): Heard => ({
  promptIds: [],
  choices: new Map(),
  usage: null,
  promise: '',
  waits: [],
});

/** Resolves at the end of the stream. Rejects when it breaks off, or ends in an error event. */
export async function listen(
  client: OpenAI,
  asked: {
    readonly endpoint: Endpoint;
    readonly body: Body;
    readonly id: string;
    readonly signal: AbortSignal;
  },
  heard: Heard,
): Promise<void> {
  const { endpoint, body, id, signal } = asked;
  let heardAt = performance.now();
  // Two endpoints of one shape, as far as it is used here.
  const api = (
    endpoint === 'chat' ? client.chat.completions : client.completions
  ) as typeof client.completions;
  const streamed = { ...body, stream: true } as never;
  const { data, response } = await api
    .create(streamed, { headers: { 'x-request-id': id }, signal })
    .withResponse();
  heard.promise = response.headers.get('x-synkti-protected') ?? '';
  const hear = (): void => {
    const now = performance.now();
    heard.waits.push(now - heardAt);
    heardAt = now;
  };
  try {
    for await (const chunk of data as unknown as AsyncIterable<Chunk>) {
      hear();
      take(chunk, heard);
    }
  } finally {
    hear(); // The last wait is for the end, and is one too where that is an error or never comes.
  }
}

function take({ prompt_token_ids: promptIds, usage, choices }: Chunk, heard: Heard): void {
  heard.promptIds = promptIds ?? choices[0]?.prompt_token_ids ?? heard.promptIds;
  heard.usage = usage ?? heard.usage;
  for (const { index, text, delta, token_ids: ids, logprobs, finish_reason: finish } of choices) {
    const choice = heard.choices.get(index) ?? blank();
    heard.choices.set(index, choice);
    choice.text += text ?? delta?.content ?? '';
    choice.reasoning += delta?.reasoning ?? '';
    choice.ids.push(...(ids ?? []));
    choice.likely.push(...(logprobs?.tokens ?? logprobs?.content?.map(({ token }) => token) ?? []));
    if (finish !== null) choice.finishes.push(finish);
    for (const { index: at, function: called } of delta?.tool_calls ?? []) {
      const call = (choice.calls[at] ??= { name: '', arguments: '' });
      call.name += called?.name ?? '';
      call.arguments += called?.arguments ?? '';
    }
  }
}

const blank = (): Choice => ({ text: '', reasoning: '', calls: [], ids: [], likely: [], finishes: [] });
