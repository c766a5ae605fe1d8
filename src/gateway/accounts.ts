/**
 * What each key's clients use, told to every other node over the mutual TLS that inference takes, and only while there
 * is something to tell. What is not received is not missed: the next word says all of it again.
 */
import type { Dispatcher } from 'undici';
import { z } from 'zod';
import { admit, hear, noRates, settle, tell, type Verdict } from '../admission/rates.ts';
import type { ApiKey } from '../node/api-key.ts';
import type { Clock } from '../node/ports.ts';
import { parseJson } from '../std/json.ts';
import { memberId, type MemberId } from '../std/member-id.ts';
import { after } from '../std/time.ts';

/** How long no other node knows what was spent here: with eight nodes it keeps limits within a tenth. */
const tellMs = 250;
/** A word that took longer is old. */
const wordMs = 2_000;
/** Of the answer to it, which has none. */
const keysToldMax = 1_000;
/** The inlet's path for it. */
export const usePath = '/use';

export type Accounts = {
  /** `tokens`: an estimate of prompt and answer. */
  admit(key: ApiKey, tokens: number): Verdict;
  /** What it took, less what was estimated. */
  settle(key: ApiKey, tokens: number): void;
  /** The body of a word from another node. Garbage is nothing. */
  hear(text: string): void;
  close(): void;
};

const count = z.number().min(0).max(1e12);
const word = z.object({
  member: z.string().min(1).max(256),
  uses: z
    .array(z.object({ key: z.string().min(1).max(64), requests: count, tokens: count, demand: count }))
    .max(keysToldMax),
});

export function openAccounts(ports: {
  readonly self: MemberId;
  readonly clock: Clock;
  /** Everybody else who is alive. */
  readonly others: () => readonly MemberId[];
  readonly dispatcherTo: (member: MemberId) => Dispatcher | null;
}): Accounts {
  const { self, clock, others, dispatcherTo } = ports;
  const rates = noRates();
  let silent = true;

  function say(): void {
    const members = others();
    const uses = tell(rates, members.length + 1, clock.now()).slice(0, keysToldMax);
    // The last word says that there is nothing any more.
    if (uses.length > 0 || !silent) {
      const body = JSON.stringify({ member: self, uses });
      for (const member of members) dispatcherTo(member)?.dispatch(postOf(body), new Unheard());
    }
    silent = uses.length === 0;
    disarm = clock.wakeAt(after(clock.now(), tellMs), say);
  }

  let disarm = clock.wakeAt(after(clock.now(), tellMs), say);
  return {
    admit: (key, tokens) => admit(rates, { key, tokens }, clock.now()),
    settle: ({ name: key }, tokens) => settle(rates, { key, tokens }, clock.now()),
    hear: (text) => {
      const heard = word.safeParse(parseJson(text)).data;
      if (heard === undefined || heard.member === self) return;
      hear(rates, { member: memberId(heard.member), uses: heard.uses }, clock.now());
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
