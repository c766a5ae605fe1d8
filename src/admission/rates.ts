/**
 * Limits of a key over the whole cluster, without anybody who counts for all. Each node tells the others what its own
 * clients used in the last minute; that is a state and no change, so a word that is lost is made up for by the next.
 *
 * Between two words nobody knows what the others spend. So of what is left each spends its share at most, which follows
 * from who has the demand: all have told it, so all agree, and the shares add up to one. A node without demand keeps a
 * small share for the first that comes.
 */
import type { Instant } from '../std/time.ts';
import { add, newWindow, recentOf, sumOf, takeBack, untilLess, windowMs, type Window } from './window.ts';

/** Demand is what was asked in so many seconds. */
const demandSeconds = 3;
/** What a node without demand gets of the shares, all such nodes together. */
const idleShare = 0.05;
/**
 * Of its share a node spends half before it has told again. Nodes speak one after the other: what the first is given of
 * the rest, when it has told, must not be what the others have spent and not told yet.
 */
const wordShare = 0.5;
/**
 * Of a limit: what one more request adds to a share is then of little weight, unless a request is a large part of the
 * limit. Eight nodes with requests of 3.5 % of it each, in bursts, came to 1.33 of it, and to 1.23 without this.
 */
const muchLeft = 0.5;
const keysMax = 10_000;
const retryMs = { min: 1_000, max: windowMs };

export type Limited = {
  readonly name: string;
  readonly limits: { readonly requestsPerMinute: number | null; readonly tokensPerMinute: number | null };
};

/** What one node's clients used of one key in the last minute, and asked for in the last seconds. */
export type Use = {
  readonly key: string;
  readonly requests: number;
  readonly tokens: number;
  readonly demand: number;
  /** How long until some of the requests, or tokens, are too old to count. Older versions do not tell. */
  readonly freeMs?: Free | undefined;
};

type Free = { readonly requests: number; readonly tokens: number };

/** What was charged for an answer before it was known, and when. */
export type Estimate = { readonly tokens: number; readonly at: Instant };

/** `at`: of its estimate. */
export type Verdict =
  | { readonly type: 'admitted'; readonly at: Instant }
  | { readonly type: 'limited'; readonly what: 'requests' | 'tokens'; readonly retryAfterMs: number };

type Account = {
  readonly requests: Window;
  readonly tokens: Window;
  readonly asked: Window;
  /** The demand that we told last, and the time before, which all have answered. */
  told: number;
  known: number;
  /** Since they last heard of us. */
  readonly spent: { requests: number; tokens: number };
  /** By the peer that told it. */
  readonly others: Map<string, Use & { readonly at: Instant }>;
};

export type Rates = { readonly accounts: Map<string, Account>; members: number };

export const noRates = (): Rates => ({ accounts: new Map(), members: 1 });

/** `tokens`: an estimate of prompt and answer. */
export function admit(
  rates: Rates,
  { key, tokens }: { readonly key: Limited; readonly tokens: number },
  now: Instant,
): Verdict {
  if (!isLimited(key)) return { type: 'admitted', at: now };
  const { requestsPerMinute, tokensPerMinute } = key.limits;
  const account = accountOf(rates, key.name, now);
  add(account.asked, 1, now);
  const share = shareOf(rates, account, now);
  const short =
    isSpent(account, { what: 'requests', limit: requestsPerMinute, cost: 1, share }, now) ??
    isSpent(account, { what: 'tokens', limit: tokensPerMinute, cost: tokens, share }, now);
  if (short !== null) return short;
  charge(account, { requests: 1, tokens }, now);
  return { type: 'admitted', at: now };
}

/**
 * What an answer took, now that it is known. What was estimated too high is taken back where it was charged: at a later
 * time it would be allowance for what comes then. null: its request was let in at another node.
 */
export function settle(
  rates: Rates,
  {
    key,
    tokens,
    estimate,
  }: { readonly key: Limited; readonly tokens: number; readonly estimate: Estimate | null },
  now: Instant,
): void {
  if (!isLimited(key)) return;
  const account = accountOf(rates, key.name, now);
  const more = tokens - (estimate?.tokens ?? 0);
  if (estimate === null || more >= 0) return charge(account, { requests: 0, tokens: more }, now);
  if (takeBack(account.tokens, { amount: -more, at: estimate.at }, now)) account.spent.tokens += more;
}

const isLimited = ({ limits }: Limited): boolean =>
  limits.requestsPerMinute !== null || limits.tokensPerMinute !== null;

/** What to tell everybody, of whom there are `members` with ourselves; what is spent from now on they do not know. */
export function tell(rates: Rates, members: number, now: Instant): readonly Use[] {
  rates.members = members;
  const told: Use[] = [];
  for (const [key, account] of rates.accounts) {
    const use = useOf(key, account, now);
    account.known = account.told;
    account.told = use.demand;
    account.spent.requests = 0;
    account.spent.tokens = 0;
    if (use.requests !== 0 || use.tokens !== 0 || use.demand > 0) told.push(use);
    else if (isIdleElsewhere(account, now)) rates.accounts.delete(key);
  }
  return told;
}

/** All that this peer told, who is proven: of keys that it does not name its clients have used nothing. */
export function hear(
  rates: Rates,
  { by, uses }: { readonly by: string; readonly uses: readonly Use[] },
  now: Instant,
): void {
  for (const { others } of rates.accounts.values()) others.delete(by);
  for (const use of uses) {
    if (!rates.accounts.has(use.key) && rates.accounts.size >= keysMax) continue;
    accountOf(rates, use.key, now).others.set(by, { ...use, at: now });
  }
}

type Question = {
  readonly what: 'requests' | 'tokens';
  readonly limit: number | null;
  readonly cost: number;
  readonly share: number;
};

function isSpent(account: Account, { what, limit, cost, share }: Question, now: Instant): Verdict | null {
  if (limit === null) return null;
  const spent = account.spent[what];
  const left = limit - (sumOf(account[what], now) - spent) - othersOf(account, what, now);
  if (left - spent < Math.min(cost, limit)) {
    const retryAfterMs = Math.min(retryMs.max, Math.max(retryMs.min, freeOf(account, what, now)));
    return { type: 'limited', what, retryAfterMs };
  }
  // While much is left, who has spent less than its share may end beyond it, by one request.
  const within = limit - left + spent < limit * muchLeft ? 0 : cost;
  return spent > 0 && spent + within > left * share
    ? { type: 'limited', what, retryAfterMs: retryMs.min }
    : null;
}

function charge(
  account: Account,
  { requests, tokens }: { readonly requests: number; readonly tokens: number },
  now: Instant,
): void {
  add(account.requests, requests, now);
  add(account.tokens, tokens, now);
  account.spent.requests += requests;
  account.spent.tokens += tokens;
}

/**
 * By what each has told, ourselves too. Who has just begun to ask gets no more than an equal part, until everybody has
 * told what he spent while he did not know of it.
 */
function shareOf({ members }: Rates, { told, known, others }: Account, now: Instant): number {
  if (members <= 1 && others.size === 0) return 1;
  const count = Math.max(members, others.size + 1);
  let all = told;
  for (const { demand, at } of others.values()) all += demand * freshness(at, now);
  if (all === 0) return wordShare / count;
  const share = idleShare / count + (1 - idleShare) * (told / all);
  return wordShare * (known === 0 ? Math.min(share, 1 / count) : share);
}

/** The rest of an answer is charged without a request. */
const isIdleElsewhere = (account: Account, now: Instant): boolean =>
  othersOf(account, 'requests', now) === 0 && othersOf(account, 'tokens', now) === 0;

function othersOf(account: Account, what: 'requests' | 'tokens', now: Instant): number {
  let sum = 0;
  for (const [by, use] of account.others) {
    const fresh = freshness(use.at, now);
    if (fresh === 0) account.others.delete(by);
    else sum += use[what] * fresh;
  }
  return sum;
}

/** When the first of anybody's is free; 0: nobody who has any tells. */
function freeOf(account: Account, what: 'requests' | 'tokens', now: Instant): number {
  const own = untilLess(account[what], now);
  let freeMs = own === 0 ? Infinity : own;
  for (const use of account.others.values())
    if (use[what] > 0 && use.freeMs !== undefined)
      freeMs = Math.min(freeMs, Math.max(0, use.freeMs[what] - (now - use.at)));
  return freeMs === Infinity ? 0 : freeMs;
}

/** What was used in the minute before a word is out of the window a minute after it. */
const freshness = (at: Instant, now: Instant): number => Math.max(0, 1 - (now - at) / windowMs);

const useOf = (key: string, account: Account, now: Instant): Use => ({
  key,
  requests: sumOf(account.requests, now),
  tokens: Math.max(0, sumOf(account.tokens, now)),
  demand: recentOf(account.asked, demandSeconds, now),
  freeMs: {
    requests: Math.ceil(untilLess(account.requests, now)),
    tokens: Math.ceil(untilLess(account.tokens, now)),
  },
});

function accountOf({ accounts }: Rates, key: string, now: Instant): Account {
  const known = accounts.get(key);
  if (known !== undefined) return known;
  const account: Account = {
    ...{ requests: newWindow(now), tokens: newWindow(now), asked: newWindow(now) },
    ...{ told: 0, known: 0, spent: { requests: 0, tokens: 0 }, others: new Map() },
  };
  accounts.set(key, account);
  return account;
}
