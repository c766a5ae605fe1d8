/**
 * What each key's clients use, told to every other node over the mutual TLS that inference takes, and only while there
 * is something to tell. What is not received is not missed: the next word says all of it again.
 */
import type { Dispatcher } from 'undici';
import { z } from 'zod';
import { admit, hear, noRates, settle, tell, type Estimate, type Verdict } from '../admission/rates.ts';
import type { ApiKey } from '../node/api-key.ts';
import type { Clock } from '../node/ports.ts';
import { parseJson } from '../std/json.ts';
import type { MemberId } from '../std/member-id.ts';
import { after } from '../std/time.ts';
import type { Way } from './way.ts';

/** How long no other node knows what was spent here: with eight nodes it keeps limits within a tenth. */
const tellMs = 250;
/** A word that took longer is old. */
const wordMs = 2_000;
/** Keys that one word names, some 100 bytes each: of those beyond it the others learn nothing. */
const keysToldMax = 1_000;
/** A thousand keys with the longest names and numbers, and room for what a newer version adds. */
export const useBytesMax = 512 * 1_024;
/** The inlet's path for it. */
export const usePath = '/use';

export type Accounts = {
  /** `tokens`: an estimate of prompt and answer. */
  admit(key: ApiKey, tokens: number): Verdict;
  /** What it took; null: nothing was estimated of it here. */
  settle(key: ApiKey, tokens: number, estimate: Estimate | null): void;
  /** The body of a word from another node, of whom nothing counts but what its connection proved. Garbage is nothing. */
  hear(peerId: string, text: string): void;
  close(): void;
};

const count = z.number().min(0).max(1e12);
const use = z.object({
  ...{ key: z.string().min(1).max(64), requests: count, tokens: count, demand: count },
  freeMs: z.object({ requests: count, tokens: count }).optional(),
});
const word = z.object({ uses: z.array(use).max(keysToldMax) });

export function openAccounts(ports: {
  readonly clock: Clock;
  /** Everybody else who is alive. */
  readonly others: () => readonly MemberId[];
  readonly dispatcherTo: (member: MemberId) => Way | null;
}): Accounts {
  const { clock, others, dispatcherTo } = ports;
  const rates = noRates();
  let silent = true;

  function say(): void {
    const members = others();
    const uses = tell(rates, members.length + 1, clock.now()).slice(0, keysToldMax);
    // The last word says that there is nothing any more.
    if (uses.length > 0 || !silent) {
      const body = JSON.stringify({ uses });
      for (const member of members) dispatcherTo(member)?.dispatch(postOf(body), new Unheard());
    }
    silent = uses.length === 0;
    disarm = clock.wakeAt(after(clock.now(), tellMs), say);
  }

  let disarm = clock.wakeAt(after(clock.now(), tellMs), say);
  return {
    admit: (key, tokens) => admit(rates, { key, tokens }, clock.now()),
    settle: (key, tokens, estimate) => settle(rates, { key, tokens, estimate }, clock.now()),
    hear: (peerId, text) => {
      const heard = word.safeParse(parseJson(text)).data;
      if (heard !== undefined) hear(rates, { by: peerId, uses: heard.uses }, clock.now());
    },
    close: () => disarm(),
  };
}

const postOf = (body: string): Dispatcher.DispatchOptions => ({
  ...{ method: 'POST', path: usePath, headers: { 'content-type': 'application/json' }, body },
  ...{ headersTimeout: wordMs, bodyTimeout: wordMs },
});

/** Nobody waits for the answer. A class because undici calls methods on it, and wants each of them. */
class Unheard implements Dispatcher.DispatchHandler {
  onRequestStart(): void {}
  onResponseStart(): void {}
  onResponseData(): void {}
  onResponseEnd(): void {}
  onResponseError(): void {}
}
