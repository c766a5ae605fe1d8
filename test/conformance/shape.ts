/**
 * What two engines with different models and different words still have in common: statuses, the headers that
 * matter, which keys in which order with which types, the order of the kinds of chunks, how an answer ended. Texts,
 * ids and the number of chunks are left out: they depend on the model and on how fast the reader is.
 */
import { eventsOf, type Answer } from './talk.ts';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Their values are part of the contract, so they are kept as they are. */
const literal = new Set([
  'object',
  'type',
  'code',
  'role',
  'finish_reason',
  'param',
  'detail',
  'output_mode',
]);
/** Their random part is replaced by a star: `cmpl-*`. */
const identifying = new Set(['id', 'request_id']);
/** A token may have no text of its own, so that its bytes are none or some. */
const textual = new Set(['bytes']);

export function shapeOf(answer: Answer, model: string): { readonly [key: string]: Json } {
  const { status, headers, end, body } = answer;
  const head = { status, headers: headersOf(answer), end };
  if (headers['content-type']?.startsWith('text/event-stream')) return { ...head, ...chunksOf(body, model) };
  if (headers['content-type'] === 'application/json' && end === 'complete')
    return { ...head, body: skeleton(JSON.parse(body) as Json, model) };
  return { ...head, body: body === '' ? '' : 'string' };
}

function headersOf({ headers }: Answer): Json {
  const kept: Record<string, Json> = {};
  for (const name of ['content-type', 'allow', 'vary', 'www-authenticate', 'cache-control'] as const) {
    const value = headers[name];
    if (value !== undefined) kept[name] = value;
  }
  const id = headers['x-request-id'];
  if (typeof id === 'string') kept['x-request-id'] = starred(id);
  kept['framing'] =
    headers['transfer-encoding'] ?? (headers['content-length'] === undefined ? 'close' : 'length');
  return kept;
}

/**
 * The chunks of each choice as a pattern: a kind of chunk that follows itself is written once. What belongs to no
 * choice (usage, error, the end mark) stands apart, in order.
 */
function chunksOf(body: string, model: string): { readonly [key: string]: Json } {
  const choices: Record<string, Json[]> = {};
  const rest: Json[] = [];
  for (const event of eventsOf(body) as readonly Json[]) {
    const found = (event as { choices?: readonly { index?: number }[] }).choices ?? [];
    const pattern = found.length === 0 ? rest : (choices[found.map((c) => c.index).join('+')] ??= []);
    const kind = skeleton(event, model);
    if (JSON.stringify(pattern.at(-1)) !== JSON.stringify(kind)) pattern.push(kind);
  }
  return { choices, rest };
}

/** The value with its types in place of its contents; of an array the different kinds of its elements. */
export function skeleton(value: Json, model: string, key = ''): Json {
  if (value === null) return 'null';
  if (textual.has(key)) return 'list';
  if (Array.isArray(value)) {
    const kinds = new Map<string, Json>();
    for (const element of value as readonly Json[]) {
      const kind = skeleton(element, model, key);
      kinds.set(JSON.stringify(kind), kind);
    }
    return [...kinds.values()];
  }
  if (typeof value === 'object') {
    const entries = Object.entries(value);
    if (key === 'top_logprobs' && !('logprob' in value)) return 'number by token';
    return Object.fromEntries(entries.map(([k, v]) => [k, skeleton(v as Json, model, k)]));
  }
  if (value === '[DONE]' || literal.has(key)) return value;
  if (identifying.has(key)) return value === model ? '<model>' : starred(String(value));
  return typeof value;
}

const starred = (id: string): string => id.replace(/[0-9a-f][0-9a-f-]{15,}/g, '*');
