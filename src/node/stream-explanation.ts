/**
 * What the nodes of a cluster know of one stream: what `synkti explain stream` prints. It crosses two sockets, from
 * node to node and from node to command, so its shape stands here once, as a schema. Whoever reads it passes over
 * fields that it does not know.
 *
 * Every age is in whole milliseconds by the clock of the node that tells it, at the moment it was asked. No word of a
 * prompt or an answer is in it.
 */
import { z } from 'zod';

const ms = z.number();
/** Of several that go on by themselves the one that moved; null: the answer, or a node that does not say which. */
const choice = z.number().nullable().default(null);

/** `tokens`: carried over from the engine before. */
const step = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('moved'),
    choice,
    from: z.string(),
    to: z.string(),
    way: z.string(),
    cause: z.string(),
    tokens: z.number(),
    /** For which its client heard nothing. */
    stallMs: ms,
    ageMs: ms,
  }),
  /** Somebody was asked who said nothing. */
  z.object({
    type: z.literal('unanswered'),
    choice,
    member: z.string(),
    cause: z.string(),
    waitedMs: ms,
    ageMs: ms,
  }),
]);

/** By the entry node that has it or had it. */
const story = z.object({
  entry: z.string(),
  /** As `x-synkti-stream` and `x-request-id` name it. */
  stream: z.string(),
  request: z.string(),
  model: z.string(),
  /** `running`, or the word for its end. `why`: of that end, where there is one to tell. */
  state: z.string(),
  why: z.string().nullable(),
  /** It was begun at another entry node. */
  resumed: z.boolean(),
  /** How it goes on when its engine is lost, and what its client was promised. */
  way: z.string(),
  /** The same of each choice that goes on by itself; none: of a node that tells the first one's only. */
  ways: z.array(z.string()).default([]),
  protected: z.string(),
  /** 0 where nobody counts them, because chunks are passed on. */
  tokens: z.number(),
  /** Whose engine says it, or was the last to; null: nobody's. */
  serving: z.string().nullable(),
  /** Members that its log goes to, and how many of them have some of it. */
  replicas: z.array(z.string()),
  copies: z.number(),
  begunMs: ms,
  /** Since its end; null: it runs. */
  endedMs: ms.nullable(),
  /** The oldest first, and no more than the last dozens. */
  steps: z.array(step),
});

/** A copy of its log, as the member that holds it sees it. `entry`: who writes it. */
const copy = z.object({ entry: z.string(), ended: z.boolean() });

/** What one node knows. */
export const streamSight = z.object({ stories: z.array(story), copy: copy.nullable() });

export const streamExplanation = z.object({
  id: z.string(),
  /** The youngest first. */
  stories: z.array(story),
  copies: z.array(copy.extend({ member: z.string() })),
  /** Of the members that were asked, those that did not answer. */
  silent: z.array(z.string()),
});

export type Step = z.infer<typeof step>;
export type StreamStory = z.infer<typeof story>;
export type StreamSight = z.infer<typeof streamSight>;
export type StreamExplanation = z.infer<typeof streamExplanation>;
