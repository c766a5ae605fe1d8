/**
 * How an answer is carried from engine to client, and what happens to it when the engine is lost: `plain` continues
 * from ids, `whole` begins again or not at all. The generation machine knows a carrier by these functions only; a
 * further way of continuing an answer is a further arm here.
 */
import type { Item } from './chunk.ts';
import type { LegRequest } from './continuation.ts';
import { isContinuable, newJournal, nextLeg, rollBack, type Journal } from './journal.ts';
import * as plain from './plain.ts';
import type { Heard, Said } from './plain.ts';
import type { LogRecord } from './record.ts';
import type { GenerationRequest, PlainRequest } from './request.ts';
import { hearWhole, newWhole, wholeLeg, type Whole } from './whole.ts';

export type Carrier =
  { readonly type: 'plain'; readonly journal: Journal } | { readonly type: 'whole'; readonly whole: Whole };

export const carry = (request: GenerationRequest): Carrier =>
  request.way === 'ids'
    ? { type: 'plain', journal: newJournal(request) }
    : { type: 'whole', whole: newWhole(request) };

/** Asks the engine for the answer itself from now on. Only while nothing is out. */
export function asWhole(carrier: Carrier): Carrier {
  if (carrier.type === 'whole') return carrier;
  const { endpoint, model, raw, streamed } = carrier.journal.request;
  return carry({ way: 'whole', endpoint, model, raw, streamed, because: 'foreign' });
}

/** The next request to an engine; null: nothing is left to ask for. */
export const nextLegOf = (carrier: Carrier): LegRequest | null =>
  carrier.type === 'plain' ? nextLeg(carrier.journal) : wholeLeg(carrier.whole.request);

export const hearItem = (carrier: Carrier, item: Item): Heard =>
  carrier.type === 'plain' ? plain.hear(carrier.journal, item) : hearWhole(carrier.whole, item);

/** Whether losing the engine now would not be noticed by the client. */
export const isMovable = (carrier: Carrier): boolean =>
  carrier.type === 'plain' ? isContinuable(carrier.journal) : !carrier.whole.out;

/** Prepares for another engine: forgets what this one said and no client saw. */
export function letGo(carrier: Carrier): void {
  if (carrier.type === 'plain') rollBack(carrier.journal);
  else carrier.whole.opening = [];
}

/** Whether anything has left for the client. */
export const isOut = (carrier: Carrier): boolean =>
  carrier.type === 'plain' ? carrier.journal.out : carrier.whole.out;

/** Tokens heard, and how many of them a loss would not take away. Not known of what is passed on untouched. */
export const tokensHeard = (carrier: Carrier): number =>
  carrier.type === 'plain' ? carrier.journal.ids.length : 0;
export const tokensSafe = (carrier: Carrier): number => (carrier.type === 'plain' ? carrier.journal.safe : 0);

/** What ends the answer: events that are still owed, or the whole answer of a request that is not streamed. */
export type Ending = { readonly records: readonly LogRecord[] } & (
  | { readonly type: 'events'; readonly events: readonly Said[] }
  | { readonly type: 'body'; readonly body: string }
);

export function endingOf(carrier: Carrier): Ending {
  if (carrier.type === 'whole') return { type: 'events', events: [], records: [] };
  const { journal } = carrier;
  const { events, records: last } =
    journal.finish === null ? plain.finishByLength(journal) : { events: [], records: [] };
  const records = [...last, plain.closed(journal)];
  if (!journal.request.streamed) return { type: 'body', body: plain.answer(journal), records };
  return { type: 'events', events: [...events, ...plain.closing(journal)], records };
}

/** As another entry node left it, with all that its client was told or will be. */
export function restore(
  request: PlainRequest,
  records: readonly LogRecord[],
): { readonly carrier: Carrier; readonly events: readonly Said[] } {
  const journal = newJournal(request);
  const events = records.flatMap((record) => plain.retell(journal, record));
  return { carrier: { type: 'plain', journal }, events };
}
