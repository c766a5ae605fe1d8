/**
 * `synkti/client`: a `fetch` that outlives the nodes which it talks to, for Node.js and browsers.
 *
 *     new OpenAI({ baseURL: urls[0], fetch: durableFetch(urls) })
 *
 * It asks one node and, when that one is gone or turns it away, the next. Where the node with the client's connection
 * dies in the middle of a streamed answer, it repeats the request at another one with the id of the last event that
 * arrived; that node goes on from the journal which the cluster keeps of each answer, and the caller reads one stream
 * without a seam. An answer that cannot be continued ends in an error, never in a second beginning.
 *
 * A chat or completion that is not streamed carries a key by which the cluster answers it once, however often it is
 * asked. Other endpoints have no such keys: what broke off there is computed again.
 */
import { AnswerLost } from './answer-lost.ts';
import { readAsked, targetOf } from './asked.ts';
import { beginAnswer } from './begin.ts';
import { Continued } from './continued.ts';
import { Entries } from './entries.ts';
import type { Settings } from './settings.ts';

// The package has one entry, so what a caller needs by name is told here.
export { AnswerLost };

export type DurableOptions = {
  /** Carries every single request. Default: `globalThis.fetch`. */
  readonly fetch?: typeof fetch;
  /**
   * How long to look for a node that takes a request, or that goes on with a broken stream, ms. Above the time in
   * which a cluster notices what it lost, below the patience of whoever reads. Default: 30,000.
   */
  readonly seekMs?: number;
  /**
   * How long a node may say nothing before it is asked whether it is alive (`/healthz`), and how long it may take to
   * say so, ms. One that does not is left for another, whatever it was asked. Default: 2,000.
   */
  readonly lookMs?: number;
  /** How long one node may take to begin a streamed answer: its queue and the prompt, ms. Default: 150,000. */
  readonly headMs?: number;
  /**
   * How long one node may take over a whole answer that is not streamed, or to make again what has arrived of a stream
   * before it goes on with it, ms. Default: 600,000.
   */
  readonly wholeMs?: number;
  /**
   * Silence in the middle of a stream after which another node is asked to go on, ms; twice as long after each time
   * that nothing came of it. A comment is no silence: its node works at the answer. The cluster itself moves an answer off an engine that fell silent, so this is for a node
   * that hangs with our connection. Default: 15,000.
   */
  readonly silenceMs?: number;
  /** Told each time that a stream goes on at another node. */
  readonly onResume?: (resumption: Resumption) => void;
};

export type Resumption = {
  /** Of `urls`, absolute and without a slash at the end. */
  readonly from: string;
  readonly to: string;
  readonly lastEventId: string;
  /** From the break until the other node had answered, ms. */
  readonly afterMs: number;
};

/** An option that is there and `undefined` is one that was not given. */
const settingsOf = (options: DurableOptions, entries: Entries): Settings => ({
  fetch: options.fetch ?? ((input, init) => globalThis.fetch(input, init)),
  seekMs: options.seekMs ?? 30_000,
  lookMs: options.lookMs ?? 2_000,
  headMs: options.headMs ?? 150_000,
  wholeMs: options.wholeMs ?? 600_000,
  silenceMs: options.silenceMs ?? 15_000,
  onResume: options.onResume ?? (() => {}),
  entries,
});

/** `urls`: base URLs of nodes, in the form of `baseURL`, in any order; at least one. Throws where one is no URL. */
export function durableFetch(urls: readonly string[], options: DurableOptions = {}): typeof fetch {
  const settings = settingsOf(options, new Entries(urls, () => performance.now()));
  const { entries } = settings;
  return async (input, init) => {
    const asked = await readAsked(input, init);
    // A body that can be read once can be sent once.
    if (!asked.isRepeatable) return settings.fetch(targetOf(asked, entries.inTurn()[0]!, entries.urls), init);
    const begun = await beginAnswer(asked, settings);
    const { response } = begun;
    if (!isEventStream(response)) return response;
    const body = new ReadableStream(new Continued(asked, begun, settings), { highWaterMark: 0 });
    const { status, statusText, headers } = response;
    return new Response(body, { status, statusText, headers });
  };
}

const isEventStream = ({ ok, body, headers }: Response): boolean =>
  ok && body !== null && (headers.get('content-type') ?? '').startsWith('text/event-stream');
