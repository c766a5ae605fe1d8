/**
 * What members tell each other, as JSON: few, small messages, readable in a packet dump, and open to unknown fields of
 * a newer version. `record` goes by gossip and on direct streams; `load` on direct streams only.
 */
import { z } from 'zod';
import { parseRecord, type NodeRecord } from './record.ts';

/** A record is a few hundred bytes; this leaves room for what newer versions add. */
const messageBytesMax = 16_384;

const count = z.int().min(0);
const loadSchema = z.object({ type: z.literal('load'), running: count, waiting: count });

export type Message =
  | { readonly type: 'record'; readonly record: NodeRecord }
  /** Also a sign of life: sent at least once a second on a direct stream. Null while the engine does not tell. */
  | { readonly type: 'load'; readonly running: number; readonly waiting: number }
  | { readonly type: 'alive' };

export const encode = (message: Message): Uint8Array => new TextEncoder().encode(JSON.stringify(message));

/** null: not a message that this version knows; the sender may be newer, or hostile. */
export function decode(body: Uint8Array): Message | null {
  if (body.byteLength > messageBytesMax) return null;
  const value = parseJson(body);
  if (typeof value !== 'object' || value === null) return null;
  const { type } = value as { type?: unknown };
  if (type === 'alive') return { type };
  if (type === 'load') return loadSchema.safeParse(value).data ?? null;
  if (type !== 'record') return null;
  const record = parseRecord((value as { record?: unknown }).record);
  return record === null ? null : { type, record };
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    return null; // Garbage from a peer is an expected outcome here, told by null.
  }
}
