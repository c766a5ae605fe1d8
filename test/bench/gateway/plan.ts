/** What is asked of every gateway, and how the parts of a run are laid out so that it ends within five minutes. */

/** Simulated engines, each behind a node of its own where synkti is asked. */
export const engineCount = 2;

/** Tools and a system's rules come first in real prompts; of a usual one's length, and never the same twice. */
const filler = 'Answer briefly and say where you are not sure. '.repeat(17);

export const promptOf = (number: number): string => `Question ${number}. ${filler}`;

/** Answers in one piece. Short ones: what an answer's length costs, the streams tell. */
export const requests = { perSecond: 300, tokens: 4, warmMs: 1_500, windowMs: 4_000 } as const;
/** Some forty at a time, each a token every ten milliseconds: engines, nodes and clients share one slow core. */
export const streams = { perSecond: 20, tokens: 200, warmMs: 3_000, windowMs: 4_500 } as const;
/**
 * Both at once and unmeasured: a gateway runs for weeks, and what it compiles in its first seconds is not its cost. V8 takes
 * 3,000 calls of a function until it optimizes it as far as it can, and most of a gateway's are called once a request.
 */
export const warming = { requestsPerSecond: 300, streamsPerSecond: 10, ms: 15_000 } as const;
/**
 * Each request measures all gateways and the engines in turn, with hardly anything else going on: an engine is done with
 * one and at rest before the next one comes, which would else wait for the end of a step that another one began.
 */
export const latency = { warm: 20, each: 300, everyMs: 30 } as const;
/** Open at once, for the memory that they take. */
export const crowd = { streams: 1_000, tokens: 200, openMs: 30_000, holdMs: 3_000 } as const;

/** Each gateway is loaded so many times, in turn with the others: what disturbs the machine disturbs all. */
export const rounds = 2;

export const tokenMs = { busy: 10, crowded: 250 } as const;

export type Question = {
  readonly number: number;
  readonly tokens: number;
  readonly stream: boolean;
};

export const bodyOf = ({ number, tokens, stream }: Question): string =>
  JSON.stringify({
    model: 'simulated',
    messages: [{ role: 'user', content: promptOf(number) }],
    ...{ max_tokens: tokens, temperature: 0, ignore_eos: true, stream },
  });
