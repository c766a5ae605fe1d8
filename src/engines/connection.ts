import { Pool } from 'undici';
import type { Exchange } from './exchange.ts';

/** vLLM closes an idle connection after 5.00 s; ours must be gone before, or requests race with the close. ms */
const keepAliveMs = 4_000;
/** Connecting is a matter of a millisecond unless the engine's queue of connections is full. ms */
const connectMs = 2_000;
/** Concurrent generations; far more than any engine runs. */
const connectionsMax = 4_096;
/** A queued or prefilling request is silent this long at most; whoever knows better says so per request. ms */
const silentMs = 600_000;
/** The supervision's questions: a probe or a sample, and a warm-up. */
const questionsMax = 2;

export type Connection = Exchange & {
  /** For the supervision's questions, which must never queue behind generations. */
  readonly questions: Exchange;
  close(): Promise<void>;
};

/** `socketPath`: null for TCP, to the origin's host and port. Nothing is connected before it is needed. */
export function connectionTo(origin: string, socketPath: string | null): Connection {
  const pool = (connections: number): Pool =>
    new Pool(origin, {
      connect: { ...(socketPath === null ? {} : { socketPath }), timeout: connectMs },
      connections,
      keepAliveTimeout: keepAliveMs,
      keepAliveMaxTimeout: keepAliveMs,
      headersTimeout: silentMs,
      bodyTimeout: silentMs,
    });
  const [generations, questions] = [pool(connectionsMax), pool(questionsMax)];
  return {
    origin,
    dispatcher: generations,
    questions: { origin, dispatcher: questions },
    close: async () => void (await Promise.all([generations.destroy(), questions.destroy()])),
  };
}
