/**
 * When silence means that the engine is gone. A frozen host sends no goodbye, so a stream is judged by its own rhythm:
 * it is lost when nothing came for several times the longest recent gap between two chunks. Before the first token
 * there is no rhythm yet: a prompt may wait in a queue for long, so patience is longer there.
 *
 * Our own process can be starved or stopped as well; then every timer is late and every stream looks silent at once,
 * although the chunks lie in the socket. A timer that comes late therefore judges nothing.
 */
import { after, type Instant } from '../std/time.ts';

/**
 * Below this a pause is ordinary: the prefill of another request, a preemption, a garbage collection. With the time to
 * go on elsewhere it keeps what a frozen node costs a stream below a second. ms
 */
const silenceMsMin = 800;
const silenceMsMax = 30_000;
/** Gaps of a healthy engine vary by less than this factor from one second to the next. */
const gapFactor = 8;
/** What a remembered gap loses to a shorter one, per chunk: some thirty chunks forget a hiccup. */
const forgetShare = 0.1;
/** Taken for the gap before any was seen, ms: two seconds of patience, forgotten by a fast stream within ten tokens. */
export const gapMsUnseen = 250;

/** For a response's head: an engine and a node send it at once, before the first token. ms */
export const headMs = 10_000;
/** From the head to the first token, ms: a queue of a hundred long prompts on a slow GPU. */
export const firstTokenMs = 120_000;
/** For an answer that is not streamed, which has a head only when it is complete, ms. */
export const wholeAnswerMs = 600_000;
/** From the last token to the end of the stream, ms. */
export const closingMs = 1_000;

/** How late a timer may come and still be trusted, and what a stream is given when it came later. ms */
const lateMs = 500;
const graceMs = 1_000;

export const nextGapMs = (gapMs: number, latestMs: number): number =>
  latestMs >= gapMs ? latestMs : gapMs + (latestMs - gapMs) * forgetShare;

/**
 * The gap that is remembered of a silence for which an engine was left. It was the engine most often, and then the next
 * one is not to be waited for any longer; it may have been the stream, and then the next one gets twice the time. A
 * stream to which that happens again is slow, and its silences are gaps like others.
 */
export const gapMsAfterSilence = (gapMs: number, silentMs: number, before: number): number =>
  Math.max(gapMs, before === 0 ? (silentMs * 2) / gapFactor : silentMs);

export const patienceMs = (gapMs: number): number =>
  Math.min(silenceMsMax, Math.max(silenceMsMin, gapMs * gapFactor));

/** Patience shrinks while a stream shows its rhythm, so it is looked at this often at least. */
export const lookMs = silenceMsMin;

/** How long we stood still, by a timer for `due` that has not come or comes only now; 0: it was in time. */
export const ownStallMs = (due: Instant, now: Instant): number => (now - due > lateMs ? now - due : 0);

/** The instant at which to judge again, when a timer for `due` comes so late that it says more about us. */
export const afterOwnStall = (due: Instant, now: Instant): Instant | null =>
  ownStallMs(due, now) > 0 ? after(now, graceMs) : null;
