/**
 * An answer that another entry node began, or that was asked for before: its log is looked for in the cluster, and what
 * its client lacks is told from there on.
 *
 *   looked for ──found──► fenced off from whoever wrote it ──► told again from where the client is ──► continued
 *        │                         └─ the log does not reach to where the client is, or not in one piece: made again up to
 *        │                            there first, and compared; where its place never comes: 502
 *        └──nowhere──► 410; not this client's: 404; another request: 409
 *
 * A client that gave an attempt up for another one may be heard late, by a node that stood still. So clients count their
 * attempts: each takes a fence above all that earlier ones may have taken, and one that finds a later fence is refused.
 *
 * A request that is answered once (by its `Idempotency-Key`) is looked for in the same way. While another node still
 * works at it, its answer is waited for: that node is asked, because one that was started again looks as well as before.
 */
import type { HeldLog } from '../journal/wire.ts';
import type { MemberId } from '../std/member-id.ts';
import { after } from '../std/time.ts';
import { meet, restore } from '../stream/carrier.ts';
import { restoredAnswer, type AnswerState } from '../stream/machine.ts';
import type { Mark, Said } from '../stream/mark.ts';
import { protectionOf, type Protection } from '../stream/protection.ts';
import {
  cutAt,
  readLog,
  recordBytes,
  tokensIn,
  type Log,
  type LogRecord,
  type Written,
} from '../stream/record.ts';
import { brokenOff, notYours, otherRequest, streamGone, takenOver, type Refusal } from '../stream/refusal.ts';
import { sentWith, type AnswerRequest, type Engines, type PlainRequest } from '../stream/request.ts';
import { resumed, type State } from '../stream/state.ts';
import { better } from './finding.ts';
import type { Journals } from './journals.ts';
import type { Clock } from './ports.ts';
import type { ClientEnd } from './client-end.ts';
import type { Claim, ClientPlace } from './running.ts';

/**
 * How often to look whether an answer is there that is worked at, ms. At this node that costs nothing; elsewhere whole logs
 * come from several members, so each look there is twice as long after the last one, up to the second bound.
 */
const lookMs = 150;
const lookMsMax = 2_000;
/**
 * Before an answer is taken over, ms: after a stall of ours timers may come before what the network has to say, and that a
 * client has gone is to be heard first.
 */
const hearMs = 5;

/** What is to go on here, under a fence of our own. */
export type Taken = {
  readonly stream: string;
  readonly request: AnswerRequest;
  /** It was read with. */
  readonly engines: Engines;
  readonly state: AnswerState;
  /** The log so far. */
  readonly bytes: Uint8Array;
  readonly epoch: number;
  /** What was told already, in its order. */
  readonly said: readonly Said[];
  /** Where the client is; null: nowhere yet. */
  readonly from: Mark | null;
};

export type ResumptionPorts = {
  readonly self: MemberId;
  readonly journals: Journals;
  readonly clock: Clock;
  readonly read: (log: Log) => AnswerRequest;
  /** Makes an answer up to where its client is, for nobody to read. */
  readonly catchUp: (start: Start, done: (made: Made) => void) => () => void;
};

/** An answer as it was written down, to be made up to where its client is. `protection`: of the whole of it. */
export type Start = { readonly state: State; readonly protection: Protection };

/** What was written down of it meanwhile, or why there is no such thing. */
export type Made = readonly LogRecord[] | { readonly refusal: Refusal };

type Outcomes = {
  /** Nobody knows it: it is to begin here. */
  readonly begin: () => void;
  readonly goOn: (taken: Taken) => void;
};

/** Calls back once, through the client or `goOn`; the result gives up. */
export function resume(
  place: ClientPlace,
  claim: Claim,
  { client, goOn }: { readonly client: ClientEnd; readonly goOn: Outcomes['goOn'] },
  ports: ResumptionPorts,
): () => void {
  const { journals, self, clock } = ports;
  const { stream, mark, attempt } = place;
  /** The wait, or the making, of now. */
  let giveUp = (): void => {};

  function onFound(held: HeldLog | null): void {
    const log = held && readLog(held.bytes);
    if (held === null || log === null) return client.refuse(streamGone);
    const refusal = refusalOf(held, log, { claim, attempt });
    if (refusal !== null) return client.refuse(refusal);
    const request = ports.read(log);
    // Where nothing is known but the request, only plain text under a name of ours is told again just so.
    const isNamed = request.way === 'ids' && request.named !== null;
    if (log.records.length === 0 && mark.tokens > 0 && !isNamed) return client.refuse(streamGone);
    const epoch = Math.max(held.fence.epoch, attempt ?? 0) + 1;
    journals.takeOver(stream, { epoch, by: self });
    const isPlain = request.way === 'ids' && restore(request, alone(log))?.carrier.type === 'plain';
    // Others make it again while they tell it.
    if (!isPlain) return go(request, log, { records: log.records, bytes: held.bytes, epoch });
    const known = cutAt(held.bytes, mark.tokens);
    const records = alone(readLog(known) ?? log);
    if (tokensIn({ records }) >= mark.tokens) return go(request, log, { records, bytes: known, epoch });
    // No client of this request can have come so far.
    if (mark.tokens > (request.maxTokens ?? Infinity)) return client.refuse(brokenOff('mismatch'));
    const limited = upTo(request, mark.tokens);
    const start = restore(limited, records);
    if (start === null) return client.refuse(streamGone);
    const state = { ...resumed(limited, start.carrier, clock.now()), isMadeAgain: true };
    const protection = protectionOf(request, log.opening.engines.ability);
    giveUp = ports.catchUp({ state, protection }, (made) => {
      if ('refusal' in made) return client.refuse(made.refusal);
      // That it ends here is our own limit, and no end of the answer.
      const more = made.filter(({ type }) => type !== 'closed').map(withoutOurEnd);
      const bytes = joined(known, more.map(recordBytes));
      go(request, log, { records: [...records, ...more], bytes, epoch });
    });
  }

  function go(
    request: AnswerRequest,
    { opening: { engines } }: Log,
    so: { readonly records: readonly Written[]; readonly bytes: Uint8Array; readonly epoch: number },
  ): void {
    const { records, bytes, epoch } = so;
    const restored = restoredAnswer(request, records, clock.now());
    if (restored === null) return client.refuse(streamGone);
    const { state, events } = restored;
    const isMet = 'carrier' in state && meet(state.carrier, mark);
    const told = isMet ? ({ said: [], from: null } as const) : { said: events, from: mark };
    goOn({ stream, request, engines, state, bytes, epoch, ...told });
  }

  const enough = (held: HeldLog): boolean => {
    const log = readLog(held.bytes);
    return log !== null && tokensIn(log) >= mark.tokens;
  };
  const stopLooking = journals.find(stream, enough, (held) => {
    giveUp = clock.wakeAt(after(clock.now(), hearMs), () => onFound(held));
  });
  return () => {
    stopLooking();
    giveUp();
  };
}

/** For a request that is answered once. Calls back once; the result gives up. */
export function join(
  stream: string,
  claim: Claim,
  { client, begin, goOn }: Outcomes & { readonly client: ClientEnd },
  ports: ResumptionPorts,
): () => void {
  const { journals, self, clock } = ports;
  let stopLooking = (): void => {};
  let disarm = (): void => {};
  let isOver = false;
  let isWaiting = false;
  let elsewhereMs = lookMs;
  // A node alone has found, and waits for the next time to look, before this returns.
  const look = (): void => {
    if (isOver) return;
    const own = journals.working(stream);
    if (own === null) stopLooking = journals.find(stream, () => true, onFound);
    // That it is this client's was seen when it began to wait.
    else if (isWaiting) lookAgain(own);
    else onFound(own);
  };

  function lookAgain({ fence }: HeldLog): void {
    isWaiting = true;
    const ms = fence.by === self ? lookMs : elsewhereMs;
    if (fence.by !== self) elsewhereMs = Math.min(2 * elsewhereMs, lookMsMax);
    disarm = clock.wakeAt(after(clock.now(), ms), look);
  }

  function onFound(held: HeldLog | null): void {
    if (isOver) return;
    const log = held && readLog(held.bytes);
    if (held === null || log === null) return begin();
    const refusal = refusalOf(held, log, { claim, attempt: null });
    if (refusal !== null) return client.refuse(refusal);
    const head = { by: null, protection: 'exact', stream: null } as const;
    if (log.answer !== null) return client.answer(log.answer, head);
    if (held.ended) return takeOver(held, log);
    journals.isAtWork(stream, held.fence.by, (atWork, over) => {
      if (isOver) return;
      // It ended between the two questions: its answer is in there, and not yet in what was found.
      if (over !== null && better(over, held) === over) return onFound(over);
      if (atWork) lookAgain(held);
      else takeOver(held, log);
    });
  }

  function takeOver(held: HeldLog, log: Log): void {
    const request = ports.read(log);
    const restored = restoredAnswer(request, log.records, clock.now());
    if (restored === null) return begin();
    const epoch = held.fence.epoch + 1;
    journals.takeOver(stream, { epoch, by: self });
    const { state } = restored;
    const { engines } = log.opening;
    goOn({ stream, request, engines, state, bytes: held.bytes, epoch, said: [], from: null });
  }

  look();
  return () => {
    isOver = true;
    stopLooking();
    disarm();
  };
}

/** null: who asks may have it. */
function refusalOf(
  { fence }: HeldLog,
  { opening }: Log,
  by: { readonly claim: Claim; readonly attempt: number | null },
): Refusal | null {
  if (opening.owner !== by.claim.owner) return notYours;
  if (opening.digest !== by.claim.digest) return otherRequest;
  // The answer began with the first fence, and no attempt so far took more than one.
  return by.attempt !== null && fence.epoch > by.attempt ? takenOver : null;
}

/** Those of an answer that has one choice. */
const alone = ({ records }: Log): readonly LogRecord[] => records.filter((one) => one.type !== 'choice');

/** The same request, ended where its client is, as plain text, from whatever token on. */
function upTo(request: PlainRequest, tokens: number): PlainRequest {
  const minTokens = Math.min(request.minTokens, tokens);
  const limits = {
    max_tokens: tokens,
    ...(request.endpoint === 'chat' ? { max_completion_tokens: tokens } : {}),
    ...(minTokens > 0 ? { min_tokens: minTokens } : {}),
  };
  const { body, raw } = sentWith({ body: request.body, raw: request.untouched.raw }, limits);
  const untouched = { ...request.untouched, raw };
  return { ...request, body, untouched, maxTokens: tokens, minTokens, parsed: null };
}

const withoutOurEnd = (record: LogRecord): LogRecord =>
  record.type === 'said' && record.finish?.reason === 'length' ? { ...record, finish: null } : record;

function joined(head: Uint8Array, parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, head.length));
  whole.set(head);
  let at = head.length;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
