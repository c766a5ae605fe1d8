/**
 * When to look. EC2 grants all nodes of an account together 20 calls a second and a burst of 100, so each reason to look
 * is spread in time such that all nodes that share it stay within about a call in 100 ms, whatever their number:
 *
 *   boot       at once, or when nobody of those remembered answers; again soon while nobody else is there
 *   turn       three nodes in an epoch (turn.ts), anywhere in its first half
 *   stranger   the first of those that it came to within 100 ms or so, the others if that one does not tell
 *   silence    two epochs without word from two vouchers; then one node in two seconds or so
 *   isolation  nobody answers
 *
 * A failure puts all of them off: full jitter up to 120 s. Throttling starts high, because who is throttled is one of
 * many.
 */
import { backoffMs } from '../std/backoff.ts';
import { draw, type Rng } from '../std/random.ts';
import { after, earliest, instant, never, type Instant } from '../std/time.ts';

/** Of the looks for strangers that stand at the door, and of those for who was only heard of. */
type Turn = {
  at: Instant;
  /** How many in a row were in vain. */
  misses: number;
};

/** Of strangers: at the door, or only heard of. */
export type Kinds = { readonly here: boolean; readonly heardOf: boolean };

export type Plan = {
  readonly discoveryMs: number;
  /** Wall time less our instants, when we began; being wrong shifts turns and no more. */
  readonly epochOffsetMs: number;
  looking: boolean;
  /** When the last look began. */
  begunAt: Instant;
  /** How much of the pause before a look for strangers we keep, 0 to 2, drawn anew with each look. */
  patience: number;
  /** No look before this, for whatever reason. */
  notBeforeAt: Instant;
  bootAt: Instant;
  /** When to see whose turn it is. */
  epochAt: Instant;
  turnAt: Instant;
  readonly strangers: { readonly here: Turn; readonly heardOf: Turn };
  silenceAt: Instant;
  isolatedAt: Instant;
  /** Looks in a row that failed. */
  failures: number;
  /** As many of them were throttled. */
  throttlings: number;
  /** The last of them was: others' answers do not make the account's rate higher. */
  isThrottled: boolean;
  /** The wait before the next look of one who found nobody. */
  aloneMs: number;
  rng: Rng;
};

const bootJitterMs = 500;
/** From the first dial of a node that remembers the others to its first connections, on a busy machine. */
const answersMs = 5_000;
/** Between any two looks of a node. */
const gapMs = 1_000;
const aloneBaseMs = 2_000;
const retry = { baseMs: 1_000, capMs: 120_000 };
/** A thousand that are throttled together come back within 24 s and then 48 s: 35 and 10 a second, of which 20 pass. */
const retryThrottled = { baseMs: 24_000, capMs: 120_000 };
/** All nodes together look ten times a second for strangers: half of what the account has. */
const strangerShareMs = 100;
/** Nodes that started together would else all be waiting, and none could look, while a cluster starts. */
const patienceSteps = 1_000;
/** How many nodes a newcomer dials at once, about. */
const dialledMax = 16;
/**
 * In vain 2, 4, 8, 16 times as rarely: who knocks with ever new keys costs the account a call every 1.6 s at most. Who
 * makes keys up and only tells of them makes nobody wait who knocks.
 */
const missesMax = 4;
/**
 * All nodes together, when all pollers are silent, or the API is away and somebody knocks everywhere: about one call a
 * second, with the second attempt that each look has.
 */
const silenceShareMs = 2_000;
/** From a look that failed to one for somebody at the door, at least. */
const knockedMs = 10_000;

export function newPlan(
  options: { readonly discoveryMs: number; readonly epochOffsetMs: number },
  seed: Rng,
  now: Instant,
): Plan {
  const [jitterMs, rng] = draw(seed, bootJitterMs);
  const plan: Plan = {
    ...options,
    looking: false,
    begunAt: instant(-Infinity),
    patience: 1,
    notBeforeAt: now,
    bootAt: after(now, jitterMs),
    epochAt: never,
    turnAt: never,
    strangers: { here: { at: never, misses: 0 }, heardOf: { at: never, misses: 0 } },
    silenceAt: never,
    isolatedAt: never,
    failures: 0,
    throttlings: 0,
    isThrottled: false,
    aloneMs: aloneBaseMs,
    rng,
  };
  awaitEpoch(plan, now);
  return plan;
}

export const epochOf = ({ epochOffsetMs, discoveryMs }: Plan, now: Instant): number =>
  Math.floor((now + epochOffsetMs) / discoveryMs);

/** Others are remembered, and dialled first. */
export function awaitAnswers(plan: Plan, now: Instant): void {
  plan.bootAt = after(now, answersMs + upTo(plan, answersMs));
}

/** They answered, and tell what they know: the first look is spared. */
export function spareBoot(plan: Plan, nodes: number, now: Instant): void {
  plan.bootAt = never;
  awaitWord(plan, nodes, now);
}

/** The first half of the next epoch: the second half is for the news to spread and count in the same epoch. */
export function awaitEpoch(plan: Plan, now: Instant): void {
  const startsAt = (epochOf(plan, now) + 1) * plan.discoveryMs - plan.epochOffsetMs;
  plan.epochAt = after(instant(startsAt), upTo(plan, plan.discoveryMs / 2));
}

const wishAt = ({ bootAt, turnAt, strangers, silenceAt, isolatedAt }: Plan): Instant =>
  earliest(bootAt, turnAt, strangers.here.at, strangers.heardOf.at, silenceAt, isolatedAt);

export const nextLookAt = (plan: Plan): Instant =>
  plan.looking ? never : instant(Math.max(wishAt(plan), plan.notBeforeAt));

/** Whether others rely on the answer, and wait for word even when there is nothing new. */
export const isDuty = ({ turnAt, silenceAt }: Plan, now: Instant): boolean =>
  turnAt <= now || silenceAt <= now;

export function begin(plan: Plan, now: Instant): void {
  plan.looking = true;
  plan.begunAt = now;
  plan.patience = upTo(plan, patienceSteps) / (patienceSteps / 2);
}

/** One look serves all the reasons for it. `alone`: nobody else is listed. */
export function succeeded(plan: Plan, nodes: number, alone: boolean, now: Instant): void {
  plan.failures = 0;
  plan.throttlings = 0;
  plan.notBeforeAt = after(now, Math.min(gapMs, plan.discoveryMs));
  plan.bootAt = alone && plan.aloneMs < plan.discoveryMs ? after(now, plan.aloneMs) : never;
  plan.aloneMs = Math.min(2 * plan.aloneMs, plan.discoveryMs);
  plan.isolatedAt = never;
  end(plan, nodes, now);
}

export function failed(plan: Plan, nodes: number, throttled: boolean, now: Instant): void {
  const wait = throttled
    ? { attempt: plan.throttlings, ...retryThrottled }
    : { attempt: plan.failures, ...retry };
  const [ms, rng] = backoffMs(wait, plan.rng);
  plan.rng = rng;
  plan.failures++;
  if (throttled) plan.throttlings++;
  plan.isThrottled = throttled;
  plan.notBeforeAt = after(now, Math.max(ms, Math.min(gapMs, plan.discoveryMs)));
  end(plan, nodes, now);
  // All may be isolated, and the API out, for the same reason: then this is a silence as well.
  if (plan.isolatedAt !== never) plan.isolatedAt = plan.silenceAt;
}

/** Others have had an answer: the API is back, and what its absence put off is spread once more and done. */
export function resume(plan: Plan, nodes: number, now: Instant): void {
  if (plan.failures === 0 || plan.isThrottled) return;
  const resumesAt = after(instant(Math.max(now, plan.begunAt)), gapMs + upTo(plan, shareMs(nodes)));
  plan.notBeforeAt = earliest(plan.notBeforeAt, resumesAt);
}

/** Who knocks knows us by an answer, perhaps a later one than the last that we had none to. */
export function heedKnock(plan: Plan, nodes: number, now: Instant): void {
  if (plan.failures === 0 || plan.isThrottled) return;
  const mayAt = after(plan.begunAt, Math.max(knockedMs, nodes * silenceShareMs));
  plan.notBeforeAt = earliest(plan.notBeforeAt, instant(Math.max(now, mayAt)));
}

function end(plan: Plan, nodes: number, now: Instant): void {
  plan.looking = false;
  plan.turnAt = never;
  forgetStrangers(plan, noStrangers);
  awaitWord(plan, nodes, now);
}

/** Somebody looked: silence begins anew. */
export function awaitWord(plan: Plan, nodes: number, now: Instant): void {
  const spreadMs = Math.max(plan.discoveryMs, nodes * silenceShareMs) / 2;
  plan.silenceAt = after(now, 2 * plan.discoveryMs + spreadMs + upTo(plan, spreadMs));
}

export function awaitStranger(plan: Plan, nodes: number, isHere: boolean, now: Instant): void {
  const turn = turnOf(plan, isHere);
  if (turn.at !== never) return;
  const wait = after(now, upTo(plan, Math.min(nodes, dialledMax) * strangerShareMs));
  const pauseMs = plan.patience * shareMs(nodes) * 2 ** turn.misses;
  turn.at = instant(Math.max(wait, after(plan.begunAt, pauseMs)));
}

/** `waiting`: the kinds of which there are some. For the others no look is needed any more. */
export function forgetStrangers({ strangers }: Plan, waiting: Kinds): void {
  if (!waiting.here) strangers.here.at = never;
  if (!waiting.heardOf) strangers.heardOf.at = never;
}

const noStrangers: Kinds = { here: false, heardOf: false };

const turnOf = ({ strangers }: Plan, isHere: boolean): Turn => (isHere ? strangers.here : strangers.heardOf);

export function awaitIsolated(plan: Plan, nodes: number, now: Instant): void {
  if (plan.isolatedAt !== never) return;
  const wait = after(now, upTo(plan, shareMs(nodes)));
  const gap = Math.max(plan.discoveryMs / 2, shareMs(nodes));
  plan.isolatedAt = instant(Math.max(wait, after(plan.begunAt, gap)));
}

/** The look that was just had held none of those of these kinds that waited for it. */
export function missStrangers({ strangers }: Plan, kinds: Kinds): void {
  if (kinds.here) miss(strangers.here);
  if (kinds.heardOf) miss(strangers.heardOf);
}

function miss(turn: Turn): void {
  turn.misses = Math.min(turn.misses + 1, missesMax);
}

/** It held one of them. */
export function meetStrangers({ strangers }: Plan): void {
  strangers.here.misses = 0;
  strangers.heardOf.misses = 0;
}

const shareMs = (nodes: number): number => Math.max(gapMs, nodes * strangerShareMs);

function upTo(plan: Plan, ms: number): number {
  const [value, rng] = draw(plan.rng, Math.max(1, Math.floor(ms)));
  plan.rng = rng;
  return value;
}
