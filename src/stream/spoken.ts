/**
 * What a client is told of a chat whose calls and reasoning were put together, event by event, and what is written down
 * of it: each event's ids and what they became. Told again from there at another entry node, the events are the same,
 * and so are their marks; derender's state is built anew from the ids.
 */
import { assert } from '../std/assert.ts';
import type { Json } from '../std/json.ts';
import { roleChunk, usageChunk } from './answer.ts';
import { passEvent, start, turn, type Said } from './mark.ts';
import type { Parsed } from './parsed.ts';
import type { Heard } from './plain.ts';
import type { LogRecord } from './record.ts';

/** A chunk in the shape of the first engine's, with the ids that the client was not told of yet. */
export function partOf(parsed: Parsed, delta: Json): string {
  const { request, head, fingerprint, finish, ids, idsOut } = parsed;
  assert(head !== null, 'an answer that goes on has begun');
  const { wants } = request;
  return JSON.stringify({
    ...{ id: head.id, object: 'chat.completion.chunk', created: head.created, model: head.model },
    choices: [
      {
        ...{ index: 0, delta, logprobs: null, finish_reason: finish?.reason ?? null },
        ...(finish === null ? {} : { stop_reason: finish.stopReason }),
        token_ids: wants.tokenIds ? ids.slice(idsOut) : null,
      },
    ],
    ...(wants.continuousUsage ? { usage: usageOf(parsed) } : {}),
    ...(finish !== null && !wants.usage && fingerprint !== null ? { system_fingerprint: fingerprint } : {}),
  });
}

export function say(parsed: Parsed, data: string, delta: Json): Pick<Heard, 'events' | 'records'> {
  const opening = parsed.opening.map((role) => ({ data: role, mark: start }));
  const ids = parsed.ids.slice(parsed.idsOut);
  const records = note(parsed, ids, delta);
  parsed.mark = passEvent(parsed.mark, ids, parsed.finish !== null);
  Object.assign(parsed, { opening: [], idsOut: parsed.ids.length, out: true });
  return { events: [...opening, { data, mark: parsed.mark }], records };
}

function note(parsed: Parsed, ids: readonly number[], delta: Json): readonly LogRecord[] {
  const { head, fingerprint, promptIds, unfit, written, finish } = parsed;
  if (written === 'unfit') return [];
  if (unfit || head === null || promptIds === null) {
    parsed.written = 'unfit';
    return [{ type: 'unfit', spoken: false }];
  }
  parsed.written = 'born';
  const told = finish === null ? null : fingerprint;
  const spoken = { type: 'spoken', ids, delta, finish, fingerprint: told } as const;
  return written === 'born' ? [spoken] : [{ type: 'born', head, fingerprint, promptIds }, spoken];
}

/** The same words once more, from what was written down. */
export function retellParsed(parsed: Parsed, record: LogRecord): readonly Said[] {
  switch (record.type) {
    case 'born': {
      const { head, fingerprint, promptIds } = record;
      Object.assign(parsed, { head, fingerprint, promptIds, written: 'born' });
      return [];
    }
    case 'spoken':
      return retellSpoken(parsed, record);
    case 'closed':
      return retellCount(parsed, record);
    case 'unfit':
      parsed.unfit ||= !record.spoken;
      return [];
    case 'said':
    case 'passed':
      return [];
  }
}

function retellSpoken(
  parsed: Parsed,
  { ids, delta, finish, fingerprint }: Extract<LogRecord, { type: 'spoken' }>,
): readonly Said[] {
  if (parsed.head === null) parsed.unfit = true;
  if (parsed.unfit) return [];
  if (!parsed.out) parsed.opening = openingOf(parsed);
  parsed.ids.push(...ids);
  parsed.finish = finish;
  parsed.fingerprint ??= fingerprint;
  return say(parsed, partOf(parsed, delta), delta).events;
}

function retellCount(
  parsed: Parsed,
  { fingerprint, counted }: Extract<LogRecord, { type: 'closed' }>,
): readonly Said[] {
  if (counted === null || parsed.head === null) return [];
  parsed.counted = true;
  const data = usageChunk('chat', parsed.head, { usage: counted, fingerprint });
  return [{ data, mark: turn(parsed.mark, 'usage') }];
}

/** The role, which is told with the first token. */
export function openingOf(parsed: Parsed): string[] {
  const { head, promptIds, request } = parsed;
  const { role, wants } = request;
  const usage = wants.continuousUsage ? usageOf(parsed, 0) : null;
  return head === null
    ? []
    : [roleChunk(head, { role, promptIds: wants.tokenIds ? promptIds : null, usage })];
}

export function usageOf({ promptIds, ids }: Parsed, completion = ids.length): Json {
  const prompt = promptIds?.length ?? 0;
  return { prompt_tokens: prompt, total_tokens: prompt + completion, completion_tokens: completion };
}
