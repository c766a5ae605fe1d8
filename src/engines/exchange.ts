/**
 * What the supervision asks an engine over HTTP. It has connections of its own, so that a question never queues behind
 * the generations of the gateway, and every question has a deadline.
 */
import type { Dispatcher } from 'undici';
import { z } from 'zod';
import { type EngineMetrics, parseMetrics } from '../engine/metrics.ts';
import type { Model } from '../engine/orders.ts';
import { Failure, messageOf } from '../std/failure.ts';
import { parseJson } from '../std/json.ts';

/** vLLM answers in 5 ms, in 500 while 200 connections arrive, in seconds when its machine is short of CPU. ms */
const askMs = 5_000;
/** Somebody's answer is held up for it. ms */
const checkMs = 2_000;
/** The first request of a kind can compile for 20 s; a whole minute is for a machine that does much else. ms */
const warmUpMs = 120_000;
/** vLLM's metrics are 51 KB. Bytes. */
const bodyBytesMax = 4_000_000;
/** Tokens of the warm-up's prompt, and an id that every vocabulary has. */
const warmUpTokens = 64;
const warmUpToken = 75;

/** Adapters of LoRA are models too; who lists more than this serves the first ones only. */
const modelsMax = 64;
const modelList = z.object({
  data: z.array(z.object({ id: z.string().min(1).max(256), max_model_len: z.int().positive().nullish() })),
});

export type Exchange = {
  readonly dispatcher: Dispatcher;
  readonly origin: string;
};

/** Healthy, and what it lists; an engine that does not answer is not healthy. Failure only for the connection's end. */
export async function probe(
  engine: Exchange,
  signal: AbortSignal,
): Promise<{ readonly healthy: boolean; readonly models: readonly Model[] }> {
  const health = await ask(engine, { method: 'GET', path: '/health' }, askMs, signal);
  if (health.status !== 200) return { healthy: false, models: [] };
  const listed = await ask(engine, { method: 'GET', path: '/v1/models' }, askMs, signal);
  return { healthy: true, models: listed.status === 200 ? modelsFromBody(listed.body) : [] };
}

/** What is left of it says that it is dead (`sick`), or nobody listens there any more (`gone`). */
type Health = 'well' | 'sick' | 'gone' | 'unknown';

/**
 * No answer is none: a machine short of CPU is as silent. A server that ends breaks the connections that it kept, and
 * whether it still listens a new one tells.
 */
export async function healthOf(engine: Exchange, signal: AbortSignal): Promise<Health> {
  const answer = () => ask(engine, { method: 'GET', path: '/health' }, checkMs, signal);
  const again = (error: unknown) => (isBroken(error) ? answer() : Promise.reject(error as Error));
  try {
    const { status } = await answer().catch(again);
    return status < 500 ? 'well' : 'sick';
  } catch (error) {
    return isRefused(error) ? 'gone' : 'unknown';
  }
}

export const isDead = (health: Health): boolean => health === 'sick' || health === 'gone';

/** A socket's file may be gone as well. */
export const isRefused = (error: unknown): boolean => isOf(error, ['ECONNREFUSED', 'ENOENT']);

/** `UND_ERR_SOCKET`: the other side closed it. */
const isBroken = (error: unknown): boolean => isOf(error, ['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE']);

const isOf = (error: unknown, codes: readonly string[]): boolean =>
  error instanceof Failure && codes.includes(String(codeOf(error.cause)));

const codeOf = (error: unknown): unknown => (error as { code?: unknown } | null)?.code;

/** Failure `invalid` when what came back is not a reading. */
export async function sample(engine: Exchange, signal: AbortSignal): Promise<EngineMetrics> {
  const { status, body } = await ask(engine, { method: 'GET', path: '/metrics' }, askMs, signal);
  const metrics = status === 200 ? parseMetrics(body) : null;
  if (metrics === null)
    throw new Failure('invalid', `engine metrics: invalid: HTTP ${status}, ${body.length} characters`);
  return metrics;
}

/** One short generation. An engine that refuses it (one for embeddings, say) has answered, which is what counts. */
export async function warmUp(engine: Exchange, model: string, signal: AbortSignal): Promise<void> {
  const prompt = Array.from({ length: warmUpTokens }, () => warmUpToken);
  const body = JSON.stringify({ model, prompt, max_tokens: 2, ignore_eos: true, temperature: 0 });
  const { status } = await ask(engine, { method: 'POST', path: '/v1/completions', body }, warmUpMs, signal);
  if (status >= 500) throw new Failure('unreachable', `engine warm-up: unreachable: HTTP ${status}`);
}

type Question = { readonly method: 'GET' | 'POST'; readonly path: string; readonly body?: string };

export async function ask(
  { dispatcher, origin }: Exchange,
  question: Question,
  withinMs: number,
  signal: AbortSignal,
): Promise<{ readonly status: number; readonly body: string }> {
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(withinMs)]);
  try {
    const response = await dispatcher.request({
      ...question,
      origin,
      headers: { 'content-type': 'application/json' },
      signal: deadline,
      headersTimeout: withinMs,
      bodyTimeout: withinMs,
    });
    const pieces: Buffer[] = [];
    let bytes = 0;
    for await (const piece of response.body as AsyncIterable<Buffer>) {
      bytes += piece.length;
      if (bytes > bodyBytesMax) throw new Failure('invalid', `answer of more than ${bodyBytesMax} bytes`);
      pieces.push(piece);
    }
    return { status: response.statusCode, body: Buffer.concat(pieces).toString('utf8') };
  } catch (error) {
    const kind = error instanceof Failure ? error.kind : deadline.aborted ? 'late' : 'unreachable';
    throw new Failure(kind, `engine ${question.path}: ${kind}: ${messageOf(error)}`, error);
  }
}

function modelsFromBody(body: string): readonly Model[] {
  const parsed = modelList.safeParse(parseJson(body));
  if (!parsed.success) return []; // Whatever it is, it lists no model.
  return parsed.data.data
    .slice(0, modelsMax)
    .map(({ id, max_model_len }) => ({ id, maxModelLen: max_model_len ?? null }));
}
