/** One stream through the official client, and everything that can be said about it afterwards. */
import OpenAI from 'openai';
import { expectedContinuation } from '../../../src/engines/simulated/model.ts';
import { decode } from '../../../src/engines/simulated/vocabulary.ts';
import { compare, type Accuracy } from './accuracy.ts';

export type Told = Accuracy & {
  /** As the node that it entered by calls it. */
  readonly id: string;
  readonly entry: string;
  readonly startedAt: number;
  /** Why it did not end as it should; null: it did. */
  readonly cut: string | null;
  /** The longest wait for a word, and what is usual in this stream, ms. */
  readonly longestMs: number;
  readonly usualMs: number;
  readonly firstMs: number;
  readonly tokens: number;
  /** How often its client went on at another node. */
  readonly resumed: number;
};

type Chunk = {
  readonly prompt_token_ids?: readonly number[] | null;
  readonly choices: readonly {
    readonly delta?: { readonly content?: string | null };
    readonly token_ids?: readonly number[] | null;
    readonly finish_reason: string | null;
  }[];
};

/** What a client has heard so far. */
type Heard = {
  promptIds: readonly number[];
  readonly ids: number[];
  text: string;
  readonly finishes: string[];
  /** Waits between two words, the wait for the first included, ms. */
  readonly waits: number[];
};

/** Far beyond any stall that may be: a stream that hangs is cut. */
const streamMs = 90_000;

export async function converse(
  client: OpenAI,
  asked: { readonly id: string; readonly topic: string; readonly tokens: number },
): Promise<Omit<Told, 'resumed'>> {
  const { id, topic, tokens } = asked;
  const heard: Heard = { promptIds: [], ids: [], text: '', finishes: [], waits: [] };
  const startedAt = performance.now();
  const body = {
    model: 'simulated',
    messages: [{ role: 'user' as const, content: topic }],
    max_tokens: tokens,
    stream: true as const,
    temperature: 0,
    ignore_eos: true,
    return_token_ids: true,
  };
  let broke: string | null = null;
  try {
    const options = { headers: { 'x-request-id': id }, signal: AbortSignal.timeout(streamMs) };
    const chunks = await client.chat.completions.create(body, options);
    await listen(chunks as AsyncIterable<Chunk>, heard, startedAt);
  } catch (error) {
    broke = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  }
  return { id, entry: client.baseURL, startedAt, ...judge(heard, tokens, broke) };
}

async function listen(chunks: AsyncIterable<Chunk>, heard: Heard, startedAt: number): Promise<void> {
  let heardAt = startedAt;
  for await (const { prompt_token_ids, choices } of chunks) {
    const now = performance.now();
    heard.waits.push(now - heardAt);
    heardAt = now;
    heard.promptIds = prompt_token_ids ?? heard.promptIds;
    const [choice] = choices;
    heard.ids.push(...(choice?.token_ids ?? []));
    heard.text += choice?.delta?.content ?? '';
    if (choice?.finish_reason) heard.finishes.push(choice.finish_reason);
  }
}

function judge({ promptIds, ids, text, finishes, waits }: Heard, tokens: number, broke: string | null) {
  const ended = finishes.length === 1 && finishes[0] === 'length';
  const cut = broke ?? (ended ? null : `finished ${finishes.length} times: ${finishes.join(' ')}`);
  const expected = expectedContinuation({ promptIds, count: cut === null ? tokens : ids.length });
  const accuracy = compare(ids, expected);
  // Right ids with another text would be a splice that only the reader sees.
  const garbled =
    cut === null && accuracy.wrong + accuracy.doubled === 0 && whole(text) !== whole(textOf(ids)) ? 1 : 0;
  const sorted = [...waits].sort((a, b) => a - b);
  return {
    ...accuracy,
    wrong: accuracy.wrong + garbled,
    cut,
    longestMs: sorted.at(-1) ?? 0,
    usualMs: sorted[Math.floor(sorted.length / 2)] ?? 0,
    firstMs: waits[0] ?? 0,
    tokens: ids.length,
  };
}

/** Without what is left of a character that max_tokens cut through: an engine keeps it to itself. */
const whole = (text: string): string => text.replace(/\uFFFD+$/, '');
const textOf = (ids: readonly number[]): string => decode(ids, { skipSpecial: true });
