/**
 * What one node says of itself. Only its owner writes it; everyone else keeps the newest by (incarnation, sequence).
 * That makes the record a CRDT without clocks: no two writers, so no conflict to settle.
 *
 * Load is not in it on purpose: a gossip message costs every subscriber milliseconds of CPU, so load rides on
 * inference responses and on the direct streams between peers.
 */
import { z } from 'zod';
import { parseJson } from '../std/json.ts';
import type { MemberId } from '../std/member-id.ts';

const name = z.string().min(1).max(256);
const count = z.int().min(0);

/** An incarnation begins as epoch ms, which get here in the year 10889; above it there is room to count on safely. */
export const counterMax = 2 ** 48;
const counter = count.max(counterMax);

const drainReason = z.enum(['interruption', 'lifecycle', 'maintenance', 'signal', 'operator']);
export type DrainReason = z.infer<typeof drainReason>;

const life = z.discriminatedUnion('phase', [
  z.object({ phase: z.literal('joining') }),
  z.object({ phase: z.literal('serving') }),
  /** `deadline`: epoch ms at which the instance is gone; for people and for planning, never for measuring a wait. */
  z.object({ phase: z.literal('draining'), reason: drainReason, deadline: count }),
  z.object({ phase: z.literal('left') }),
]);
export type Life = z.infer<typeof life>;

const ability = z.object({
  scaleOut: z.boolean(),
  keyedByPosition: z.boolean(),
  repeatable: z.boolean(),
  /** Both not told by earlier versions. */
  neutralPenalties: z.boolean().default(false),
  showsSpecials: z.boolean().default(false),
});

/** `none`: an edge, no engine on purpose. `down`: there should be one, and it is not usable just now. */
const engine = z.discriminatedUnion('phase', [
  z.object({ phase: z.literal('none') }),
  z.object({
    phase: z.enum(['starting', 'ready', 'down']),
    models: z.array(name).max(64),
    /** Context length in tokens, prompt and answer together; null while the engine has not said. */
    contextTokens: count.nullable().default(null),
    /** Left out by who does not know, such as an older version: it counts as none. */
    ability: ability.optional(),
  }),
]);
export type EngineStatus = z.infer<typeof engine>;

/** Not by a transform, which would cost zod its fast path: a cold start parses a million of these. */
const id = name as unknown as z.ZodType<MemberId>;

const recordSchema = z.object({
  id,
  peerId: name,
  /** Raised by the node at every start, so that what it says now outranks what it said in an earlier life. */
  incarnation: counter,
  /** Raised at every change within one incarnation. */
  sequence: counter,
  role: z.enum(['worker', 'edge', 'operator']),
  zone: name,
  version: name,
  /** `peer`: host:port of the node-to-node HTTPS; `api`: URL of the client-facing API. */
  addresses: z.object({ peer: name, api: name }),
  life,
  engine,
});
export type NodeRecord = z.infer<typeof recordSchema>;

/**
 * null: not a record. Unknown fields are dropped: relays pass on the text itself, and what nobody here reads may be as
 * deep as its sender likes.
 */
export const recordFromText = (text: string): NodeRecord | null =>
  recordSchema.safeParse(parseJson(text)).data ?? null;

/** Whether `a` replaces `b`, being the same node's later word. */
export const outranks = (
  a: Pick<NodeRecord, 'incarnation' | 'sequence'>,
  b: Pick<NodeRecord, 'incarnation' | 'sequence'>,
): boolean => (a.incarnation !== b.incarnation ? a.incarnation > b.incarnation : a.sequence > b.sequence);
