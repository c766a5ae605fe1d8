/** One question put to the cluster, and everything that can be said about its answer afterwards. */
import type OpenAI from 'openai';
import type { Accuracy } from './accuracy.ts';
import { listen, nothingHeard, type Body, type Endpoint, type Heard } from './heard.ts';

export type Question = {
  readonly name: string;
  readonly endpoint: Endpoint;
  readonly body: Body;
  /** How right it is; `complete`: it came to its end. */
  judge(heard: Heard, complete: boolean): Accuracy;
};

export type Told = Accuracy & {
  readonly question: string;
  /** As the node that it entered by calls it. */
  readonly id: string;
  /** Why it did not end as it should; null: it did. */
  readonly cut: string | null;
  /** Its head said that it may not outlive a loss, or may differ after it. */
  readonly isDeclared: boolean;
  /** The longest wait for a word, and what is usual in this stream, ms. */
  readonly longestMs: number;
  readonly usualMs: number;
};

/** Far beyond any stall that may be: a stream that hangs is cut. */
const streamMs = 90_000;

export async function converse(
  client: OpenAI,
  question: Question,
  id: string,
): Promise<Told & { heard: Heard }> {
  const heard = nothingHeard();
  const { endpoint, body, name } = question;
  let cut: string | null = null;
  try {
    await listen(client, { endpoint, body, id, signal: AbortSignal.timeout(streamMs) }, heard);
    const open = [...heard.choices.values()].find(({ finishes }) => finishes.length !== 1);
    if (open !== undefined || heard.choices.size === 0)
      cut = `finished ${open?.finishes.length ?? 0} times: ${open?.finishes.join(' ')}`;
  } catch (error) {
    cut = withCauses(error);
  }
  const waits = [...heard.waits].sort((a, b) => a - b);
  return {
    question: name,
    id,
    cut,
    isDeclared: heard.promise === 'best-effort' || heard.promise === 'none',
    longestMs: waits.at(-1) ?? 0,
    usualMs: waits[Math.floor(waits.length / 2)] ?? 0,
    heard,
    ...question.judge(heard, cut === null),
  };
}

/** The client's own words say that a connection failed, and its causes how. */
function withCauses(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { name, message, cause } = error;
  return `${name}: ${message}${cause === undefined ? '' : ` (${withCauses(cause)})`}`;
}
