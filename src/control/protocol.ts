/**
 * What goes over the control socket. The types are the node's own; the schemas hold the client to them, because the
 * node behind the socket may be of another version than the command that asks. Fields that are new are passed over.
 */
import { z } from 'zod';
import type { MemberExplanation } from '../node/explanation.ts';
import type { MemberStatus, NodeStatus } from '../node/operations.ts';
import type { DrainReason } from '../registry/record.ts';
import { Failure } from '../std/failure.ts';

export type Parser<T> = { safeParse(value: unknown): { readonly success: boolean; readonly data?: T } };

/** Failure `invalid`, with `otherwise` for its words: it is not what this schema says. */
export function parsed<T>(schema: Parser<T>, value: unknown, otherwise: string): T {
  const { success, data } = schema.safeParse(value);
  if (!success) throw new Failure('invalid', otherwise);
  return data as T;
}

/** A drain ends with the instance, and no notice is longer than AWS's two minutes; an hour leaves room to plan. */
export const withinMsMax = 3_600_000;
/** null: as long as the node's own settings give it. */
const within = z.int().min(0).max(withinMsMax).nullable();

const reasons = ['interruption', 'lifecycle', 'maintenance', 'signal', 'operator'] as const;
const reason = z.enum(reasons satisfies readonly DrainReason[]);

/** Names of members and streams are no longer than this anywhere. */
export const explainOrder = z.strictObject({ id: z.string().min(1).max(256) });
export const drainOrder = z.strictObject({ reason, withinMs: within });
export const leaveOrder = z.strictObject({ withinMs: within });
export const isolateOrder = z.strictObject({ on: z.boolean() });
export const complaint = z.object({ error: z.object({ kind: z.string(), message: z.string() }) });

const life = z.discriminatedUnion('phase', [
  z.object({ phase: z.literal('joining') }),
  z.object({ phase: z.literal('serving') }),
  z.object({ phase: z.literal('draining'), reason, deadline: z.number() }),
  z.object({ phase: z.literal('left') }),
]);
const load = { running: z.number(), waiting: z.number(), restarts: z.number() };
const engine = z.discriminatedUnion('phase', [
  z.object({ phase: z.literal('none'), ...load }),
  z.object({
    phase: z.enum(['starting', 'ready', 'down']),
    models: z.array(z.string()),
    contextTokens: z.int().nullable(),
    ...load,
  }),
]);

export const nodeStatus = z.object({
  id: z.string(),
  peerId: z.string(),
  cluster: z.string(),
  role: z.string(),
  zone: z.string(),
  version: z.string(),
  pid: z.number(),
  upMs: z.number(),
  life,
  engine,
  addresses: z.object({ api: z.string(), peer: z.string(), p2p: z.string() }),
  members: z.object({ alive: z.number(), suspect: z.number() }),
  streams: z.object({ entry: z.number(), serving: z.number(), moved: z.number() }),
}) satisfies z.ZodType<NodeStatus>;

const memberStatus = z.object({
  id: z.string(),
  peerId: z.string(),
  self: z.boolean(),
  health: z.enum(['alive', 'suspect', 'dead', 'left']),
  phase: z.enum(['joining', 'serving', 'draining', 'left', 'unknown']),
  role: z.string(),
  zone: z.string(),
  version: z.string(),
  engine: z.enum(['none', 'starting', 'ready', 'down', 'unknown']),
  models: z.array(z.string()),
  load: z.number().nullable(),
  heardMs: z.number().nullable(),
}) satisfies z.ZodType<MemberStatus>;
export const memberList = z.array(memberStatus);

const health = z.enum(['unknown', 'alive', 'suspect', 'dead', 'left']);
const evidence = z.enum(['refused', 'timeout', 'slow']);
const age = { by: z.string(), ageMs: z.number() };

export const memberExplanation = z.object({
  id: z.string(),
  self: z.boolean(),
  health,
  why: z.string(),
  sinceMs: z.number(),
  binding: z
    .object({
      peerId: z.string(),
      address: z.string().nullable(),
      zone: z.string(),
      role: z.string(),
      ageMs: z.number(),
      absences: z.number(),
      claims: z.array(z.object(age)),
    })
    .nullable(),
  record: z
    .object({
      incarnation: z.number(),
      sequence: z.number(),
      role: z.string(),
      version: z.string(),
      phase: z.string(),
      engine: z.string(),
      ageMs: z.number().nullable(),
      from: z.string().nullable(),
    })
    .nullable(),
  connection: z.object({
    connected: z.boolean(),
    heardMs: z.number().nullable(),
    dial: z.object({ failures: z.number(), isUnderWay: z.boolean(), nextMs: z.number() }).nullable(),
  }),
  observation: z.object({
    observers: z.array(z.string()),
    weObserveIt: z.boolean(),
    itObservesUs: z.boolean(),
    doubt: z.enum(['closed', 'silent', 'request']).nullable(),
    finding: z.object({ evidence, ageMs: z.number() }).nullable(),
  }),
  votes: z.array(
    z.object({ ...age, evidence: z.enum(['refused', 'timeout', 'slow', 'alive']), expiresInMs: z.number() }),
  ),
  deadAccordingTo: z.array(z.object(age)),
}) satisfies z.ZodType<MemberExplanation>;
