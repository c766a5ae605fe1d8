/**
 * Finds a node that takes a request. Nothing has arrived yet, so another one may be asked as long as there is time: one
 * that is not there, or that says that it takes none just now. Who is over a limit is over it everywhere, and hears so;
 * and a request that broke one engine after the other is not given to more of them.
 */
import type { Asked } from './asked.ts';
import { againAfterMs, attempt, codeOf, isGivenUp, pause, type Attempt } from './attempt.ts';
import type { Settings } from './settings.ts';

const elsewhere = new Set([429, 502, 503, 504]);
const again = new Set([502, 503, 504]);

/** The word of the whole cluster. */
const isFinal = (code: string | null): boolean => isGivenUp(code) || code === 'rate_limit_exceeded';

/** Rejects as `fetch` does when no node was reached in time. */
export async function beginAnswer(asked: Asked, settings: Settings): Promise<Attempt> {
  const until = performance.now() + settings.seekMs;
  const withinMs = asked.wantsStream ? settings.headMs : settings.wholeMs;
  for (;;) {
    const round = await askAll(asked, withinMs, settings);
    if (round.taken !== null) return round.taken;
    const { refused, error } = round;
    const waitMs = againAfterMs(refused?.response ?? null);
    const isLate = performance.now() + waitMs > until;
    if (refused !== null && (isLate || !again.has(refused.response.status))) return refused;
    if (isLate) throw error;
    refused?.close();
    await pause(waitMs, asked.signal);
  }
}

type Round = {
  readonly taken: Attempt | null;
  /** Of those that turned us away the last one. */
  readonly refused: Attempt | null;
  readonly error: unknown;
};

async function askAll(asked: Asked, withinMs: number, settings: Settings): Promise<Round> {
  let refused: Attempt | null = null;
  let error: unknown = null;
  for (const entry of settings.entries.inTurn()) {
    try {
      const made = await attempt(asked, { entry, from: null, withinMs }, settings);
      if (!elsewhere.has(made.response.status) || isFinal(await codeOf(made.response))) {
        refused?.close();
        return { taken: made, refused: null, error };
      }
      // Who has too much to do, or counts the limits of a key, is well.
      if (made.response.status !== 429) settings.entries.failed(entry);
      refused?.close();
      refused = made;
    } catch (failure) {
      asked.signal?.throwIfAborted();
      error = failure;
    }
  }
  return { taken: null, refused, error };
}
