/**
 * How an answer is carried from engine to client, and what happens to it when the engine is lost: `plain` continues
 * from ids, `parsed` from ids too and puts calls and reasoning together again, `replay` asks the same again and compares,
 * `whole` begins again or not at all. The generation machine knows a carrier by these functions only; a further way of
 * continuing an answer is a further arm here.
 */
import { unreachable } from '../std/assert.ts';
import { never, type Instant } from '../std/time.ts';
import type { Ability } from '../std/ability.ts';
import { readItem, type Item } from './chunk.ts';
import type { LegRequest } from './continuation.ts';
import type { Way } from './events.ts';
import { isContinuable, meetClient, newJournal, nextLeg, rollBack, type Journal } from './journal.ts';
import type { Mark, Said } from './mark.ts';
import * as parsed from './parsed.ts';
import type { Parsed } from './parsed.ts';
import * as plain from './plain.ts';
import type { Heard } from './plain.ts';
import type { LogRecord } from './record.ts';
import { closingAgain, hearAgain, isOutOf, newReplay, nextReplay, rewind, type Replay } from './replay.ts';
import type { AnswerRequest, GenerationRequest } from './request.ts';
import { retellParsed } from './spoken.ts';
import { hearWhole, newWhole, wholeLeg, type Whole } from './whole.ts';

export type Carrier =
  | { readonly type: 'plain'; readonly journal: Journal }
  | { readonly type: 'parsed'; readonly parsed: Parsed }
  | { readonly type: 'replay'; readonly replay: Replay }
  | { readonly type: 'whole'; readonly whole: Whole };

export function carry(request: GenerationRequest): Carrier {
  switch (request.way) {
    case 'ids':
      return { type: 'plain', journal: newJournal(request) };
    case 'derender':
      return { type: 'parsed', parsed: parsed.newParsed(request) };
    case 'replay':
      return { type: 'replay', replay: newReplay(request) };
    case 'whole':
      return { type: 'whole', whole: newWhole(request) };
    default:
      return unreachable(request);
  }
}

const ways = { plain: 'ids', parsed: 'derender', replay: 'replay', whole: 'whole' } as const;
export const wayOf = ({ type }: Carrier): Way => ways[type];

/** Asks the engine for the answer itself from now on. Only while nothing is out. */
export const asUntouched = (carrier: Carrier): Carrier =>
  carrier.type === 'plain' ? carry(carrier.journal.request.untouched) : carrier;

/** Goes on with a plain chat in which reasoning turned up. */
export function asParsed(carrier: Carrier): Carrier {
  const request = carrier.type === 'plain' ? carrier.journal.request.parsed : null;
  if (carrier.type !== 'plain' || request === null) return carrier;
  return { type: 'parsed', parsed: parsed.parsedFrom(carrier.journal, request) };
}

/** The next request to an engine; null: nothing is left to ask for. */
export function nextLegOf(carrier: Carrier): LegRequest | null {
  switch (carrier.type) {
    case 'plain':
      return nextLeg(carrier.journal);
    case 'parsed':
      return parsed.nextLegOf(carrier.parsed);
    case 'replay':
      return nextReplay(carrier.replay);
    case 'whole':
      return wholeLeg(carrier.whole.request);
    default:
      return unreachable(carrier);
  }
}

export function hearItem(carrier: Carrier, item: Item): Heard {
  switch (carrier.type) {
    case 'plain':
      return plain.hear(carrier.journal, item);
    case 'parsed':
      return parsed.hearParsed(carrier.parsed, item);
    case 'replay': {
      const again = hearAgain(carrier.replay, item);
      return { ...again, records: again.events.map(({ data }) => ({ type: 'passed', data })) };
    }
    case 'whole':
      return hearWhole(carrier.whole, item);
    default:
      return unreachable(carrier);
  }
}

/** Whether losing the engine now would not be noticed by the client. */
export function isMovable(carrier: Carrier): boolean {
  if (carrier.type === 'plain') return isContinuable(carrier.journal);
  if (carrier.type === 'parsed') return parsed.isContinuable(carrier.parsed);
  return carrier.type === 'replay' || !carrier.whole.out;
}

/** Prepares for another engine: forgets what this one said and no client saw. */
export function letGo(carrier: Carrier): void {
  if (carrier.type === 'plain') rollBack(carrier.journal);
  else if (carrier.type === 'parsed') parsed.letGoOf(carrier.parsed);
  else if (carrier.type === 'replay') rewind(carrier.replay);
  else carrier.whole.opening = [];
}

/** Whether anything has left for the client. */
export function isOut(carrier: Carrier): boolean {
  if (carrier.type === 'plain') return carrier.journal.out;
  if (carrier.type === 'parsed') return carrier.parsed.out;
  return carrier.type === 'replay' ? isOutOf(carrier.replay) : carrier.whole.out;
}

/** How much of the answer was heard, and how much of that a loss would not take away: in no unit, but it only grows. */
export function heardOf(carrier: Carrier): number {
  if (carrier.type === 'plain') return carrier.journal.ids.length;
  if (carrier.type === 'parsed') return carrier.parsed.ids.length + carrier.parsed.made.length;
  return carrier.type === 'replay' ? carrier.replay.units : Number(carrier.whole.out);
}
export function safeOf(carrier: Carrier): number {
  if (carrier.type === 'plain') return carrier.journal.safe;
  return carrier.type === 'parsed' ? carrier.parsed.ids.length : heardOf(carrier);
}

/**
 * How far the engine of now has come in what the client has already, in units of `heardOf`; null: that is not said
 * again, or all of it was.
 */
export function caughtUpOf(carrier: Carrier): number | null {
  if (carrier.type !== 'replay') return null;
  const { reached, units } = carrier.replay;
  return reached < units ? reached : null;
}

/** Whether the engine of now has begun to speak; what it says may be old news. `carried`: `safeOf` when it began. */
export const speaks = (carrier: Carrier, carried: number): boolean =>
  carrier.type === 'replay' ? carrier.replay.speaks : heardOf(carrier) > carried;

/** Tokens heard; where the chunks are passed on, as far as they show or say it. */
export function tokensHeard(carrier: Carrier): number {
  if (carrier.type === 'plain' || carrier.type === 'parsed') return heardOf(carrier);
  return carrier.type === 'replay' ? carrier.replay.tokens : carrier.whole.tokens;
}
/** 0 where nobody counts them, because the chunks are passed on. */
export const tokensSafe = (carrier: Carrier): number =>
  carrier.type === 'plain' || carrier.type === 'parsed' ? safeOf(carrier) : 0;

/** What ends the answer: events that are still owed, or the whole answer of a request that is not streamed. */
type Ending = { readonly records: readonly LogRecord[] } & (
  | { readonly type: 'events'; readonly events: readonly Said[] }
  | { readonly type: 'body'; readonly body: string }
);

export function endingOf(carrier: Carrier): Ending {
  if (carrier.type === 'whole') return { type: 'events', events: [], records: [] };
  if (carrier.type === 'replay') return { type: 'events', events: closingAgain(carrier.replay), records: [] };
  if (carrier.type === 'parsed') return { type: 'events', ...parsed.closingOf(carrier.parsed) };
  const { journal } = carrier;
  const { events, records: last } =
    journal.finish === null ? plain.finishByLength(journal) : { events: [], records: [] };
  const records = [...last, plain.closed(journal)];
  if (!journal.request.streamed) return { type: 'body', body: plain.answer(journal), records };
  return { type: 'events', events: [...events, ...plain.closing(journal)], records };
}

/**
 * As another entry node left it, with all that its client was told or will be; null: nobody can go on with it, because
 * of what was told of it or how.
 */
export function restore(
  request: GenerationRequest,
  records: readonly LogRecord[],
): { readonly carrier: Carrier; readonly events: readonly Said[] } | null {
  const restoring = beginRestoring(request, records);
  const events = records.flatMap((record) => restoring.retell(record));
  const carrier = restoring.end();
  return carrier && { carrier, events };
}

/** The same record by record, each of `records` once and in their order, and then the end. */
export function beginRestoring(request: GenerationRequest, records: readonly LogRecord[]) {
  const isPassedOn = records.some(({ type }) => type === 'passed');
  let carrier = carry(request.way === 'ids' && isPassedOn ? request.untouched : request);
  return {
    retell: (record: LogRecord): readonly Said[] => {
      if (record.type === 'spoken') carrier = asParsed(carrier);
      return retell(carrier, record);
    },
    end: (): Carrier | null => {
      if (carrier.type === 'replay') letGo(carrier);
      return isRestored(carrier, records) ? carrier : null;
    },
  };
}

function retell(carrier: Carrier, record: LogRecord): readonly Said[] {
  if (carrier.type === 'plain') return plain.retell(carrier.journal, record);
  if (carrier.type === 'parsed') return retellParsed(carrier.parsed, record);
  const again = carrier.type === 'replay' && record.type === 'passed';
  return again ? hearAgain(carrier.replay, readItem(record.data)).events : [];
}

function isRestored(carrier: Carrier, records: readonly LogRecord[]): boolean {
  switch (carrier.type) {
    case 'plain':
      return !carrier.journal.unfit && records.every(({ type }) => type !== 'spoken');
    case 'parsed':
      return !carrier.parsed.unfit && parsed.isContinuable(carrier.parsed);
    case 'replay':
      return true;
    case 'whole':
      return !carrier.whole.request.streamed || records.length === 0;
    default:
      return unreachable(carrier);
  }
}

/**
 * Its client is here. False: what it is told next ends there, so that it can be compared; true: that is known to be so,
 * and no event says it.
 */
export function meet(carrier: Carrier, mark: Mark): boolean {
  if (carrier.type === 'parsed') carrier.parsed.seam = mark.tokens;
  return carrier.type === 'plain' && meetClient(carrier.journal, mark);
}

/** Takes in an answer that is no stream, where one was asked for before going on. */
export const takeAnswer = (carrier: Carrier, body: string): boolean =>
  carrier.type === 'parsed' && parsed.takeRendered(carrier.parsed, body);

/** What is to be asked of the engine besides, now; null: nothing. */
export const questionOf = (carrier: Carrier, now: Instant): LegRequest | null =>
  carrier.type === 'parsed' ? parsed.ask(carrier.parsed, now) : null;

export const hearTold = (
  carrier: Carrier,
  told: { readonly status: number; readonly body: string },
  now: Instant,
): Heard =>
  carrier.type === 'parsed' ? parsed.hearTold(carrier.parsed, told, now) : plain.heard({ type: 'going' });

/** When there will be something to ask, or when what was asked must have been answered. */
export const wakeOf = (carrier: Carrier): Instant =>
  carrier.type === 'parsed' ? parsed.wakeAt(carrier.parsed) : never;
export const answerDueOf = (carrier: Carrier): Instant =>
  carrier.type === 'parsed' ? parsed.answerDue(carrier.parsed) : never;
export function waitOn(carrier: Carrier, now: Instant): void {
  if (carrier.type === 'parsed') parsed.wait(carrier.parsed, now);
}

/** The engine has said everything, and not everything of it was told. */
export const isTelling = (carrier: Carrier): boolean =>
  carrier.type === 'parsed' && parsed.isTelling(carrier.parsed);

/** Whether what was heard of it can be written down for another entry node. */
export const isWrittenDown = (request: AnswerRequest): boolean =>
  request.way !== 'whole' || !request.streamed;

/**
 * Whether what a client has may be more than what was written down: an engine that is asked again says the same. What
 * is drawn freely cannot be said again, what is passed on is compared as it was cut into events, and in which order several
 * choices spoke nobody can say again.
 */
export const isRepeatable = (request: AnswerRequest, { keyedByPosition }: Ability): boolean =>
  (request.way === 'ids' || request.way === 'derender') && (request.draws === 'greedy' || keyedByPosition);
