/** One request to one node, bounded in time, and ended when its caller has had enough. */
import { targetOf, type Asked } from './asked.ts';
import type { Settings } from './settings.ts';

export type Attempt = {
  readonly entry: string;
  readonly response: Response;
  /** Ends the connection, or what is left of it. */
  readonly close: () => void;
};

/** Where an answer is gone on with. `attempt`: so that a node which hears late of one that was given up lets it be. */
export type Resuming = { readonly lastEventId: string; readonly attempt: number };

/** `from`: null for a new request. Rejects with the caller's reason when that one aborts. */
export async function attempt(
  asked: Asked,
  to: { readonly entry: string; readonly from: Resuming | null; readonly withinMs: number },
  settings: Pick<Settings, 'fetch' | 'entries' | 'lookMs'>,
): Promise<Attempt> {
  const { entry, from, withinMs } = to;
  const ending = new AbortController();
  const onAbort = (): void => ending.abort(asked.signal?.reason);
  asked.signal?.throwIfAborted();
  asked.signal?.addEventListener('abort', onAbort, { once: true });
  const late = setTimeout(
    () => ending.abort(new Error(`${entry}: no answer within ${withinMs} ms`)),
    withinMs,
  );
  const life = settings.entries.lifeOf(entry);
  const left = life.opened();
  const unwatch = life.watch(settings, () => ending.abort(new Error(`${entry}: not alive`)));
  const letGo = (): void => {
    left();
    asked.signal?.removeEventListener('abort', onAbort);
  };
  const close = (): void => {
    letGo();
    ending.abort();
  };
  const headers = new Headers(asked.headers);
  if (from !== null) {
    headers.set('last-event-id', from.lastEventId);
    headers.set('x-synkti-attempt', String(from.attempt));
  }
  try {
    const url = targetOf(asked, entry, settings.entries.urls);
    const sent = await settings.fetch(url, { ...asked.init, headers, signal: ending.signal });
    const response = isWhole(sent, asked) ? await wholeOf(sent) : sent;
    if (response !== sent) letGo();
    settings.entries.answered(entry);
    return { entry, response, close };
  } catch (error) {
    close();
    asked.signal?.throwIfAborted();
    settings.entries.failed(entry);
    throw error;
  } finally {
    clearTimeout(late);
    unwatch();
  }
}

/** Refusals too, whatever was asked for. */
const isWhole = ({ ok, body, headers }: Response, { wantsStream }: Asked): boolean =>
  body !== null &&
  (!ok || !(wantsStream || (headers.get('content-type') ?? '').startsWith('text/event-stream')));

/**
 * Read to its end here: when the node dies in the middle of it, another one can be asked, and nothing of ours stays on
 * the caller's signal.
 */
async function wholeOf(sent: Response): Promise<Response> {
  const bytes = await sent.arrayBuffer();
  const headers = new Headers(sent.headers);
  // It is no longer as it was on the wire.
  for (const name of ['content-encoding', 'content-length', 'transfer-encoding']) headers.delete(name);
  return new Response(bytes, { status: sent.status, statusText: sent.statusText, headers });
}

/** What a refusal says besides its status, in OpenAI's words; null: nothing. */
export async function codeOf(refusal: Response): Promise<string | null> {
  try {
    const { error } = (await refusal.clone().json()) as { readonly error: { readonly code: string | null } };
    return error.code;
  } catch {
    return null; // Somebody else's, a load balancer's perhaps.
  }
}

/** No node of the cluster is to be asked for it again, of its own accord. */
export const isGivenUp = (code: string | null): boolean => code === 'answer_lost' || code === 'engines_died';

/** Waits, unless the caller aborts. */
export function pause(ms: number, signal: AbortSignal | null): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

const againMs = { min: 250, max: 5_000 };

/** When a node that turned us away wants to be asked again, within reason. */
export function againAfterMs(response: Response | null): number {
  const seconds = Number(response?.headers.get('retry-after') ?? Number.NaN);
  return Number.isFinite(seconds)
    ? Math.min(againMs.max, Math.max(againMs.min, seconds * 1_000))
    : againMs.min;
}
