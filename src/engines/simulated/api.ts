/** What every endpoint shares: the engine, the settings, and where the server is in its life. */
import { createHash } from 'node:crypto';
import type { Json, JsonObject } from './body.ts';
import type { Engine } from './engine.ts';
import type { Exchange } from './exchange.ts';
import type { EngineSettings } from './flags.ts';
import type { Metrics } from './metrics.ts';
import { badParameter, Refusal, tokenizerGone } from './refusal.ts';
import { encode } from './vocabulary.ts';

/** Which vLLM this behaves like. */
export const contractVersion = '0.32.0';

/**
 * serving -> draining (SIGTERM with time to finish) -> stopping (no new connections, waits for the last to close).
 * dead: the engine went; the server follows shortly.
 */
export type Phase = 'serving' | 'draining' | 'stopping' | 'dead';

export type Api = {
  readonly settings: EngineSettings;
  readonly engine: Engine;
  readonly metrics: Metrics;
  readonly phase: () => Phase;
};

export type Endpoint = (api: Api, exchange: Exchange) => Promise<void> | void;
export type Routes = { readonly [path: string]: { readonly [method in 'GET' | 'POST']?: Endpoint } };

export const servedName = ({ settings }: Api): string => settings.servedNames[0]!;
export const nowSeconds = (): number => Math.floor(Date.now() / 1000);

/** A text's ids, at most one more than the context holds. */
export function tokenize(api: Api, text: string): number[] {
  if (api.phase() !== 'serving') throw tokenizerGone();
  return encode(text, api.settings.contextTokens);
}

/** A body without a model is taken for the one there is. */
export function verifyModel(api: Api, body: JsonObject): void {
  const asked: Json | undefined = body['model'];
  const names = api.settings.servedNames;
  if (asked === undefined || asked === null || names.includes(String(asked))) return;
  const message = `The model \`${String(asked)}\` does not exist. Valid aliases: ${names.join(', ')}.`;
  throw new Refusal(404, 'NotFoundError', message, 'model');
}

/** Equal on servers whose engines are configured alike. */
export function fingerprintOf({ settings }: Api): string {
  const { model, contextTokens, runningMax, source, hasParser } = settings;
  const digest = createHash('sha256').update(
    JSON.stringify([model, contextTokens, runningMax, source, hasParser]),
  );
  return `vllm-${contractVersion}-${digest.digest('hex').slice(0, 8)}`;
}

/** How the answer is to be sent. */
export type Delivery = {
  readonly stream: boolean;
  readonly includesUsage: boolean;
  readonly usageInEveryChunk: boolean;
  readonly returnsIds: boolean;
  /** Tokens in logprobs are written as `token_id:7`. */
  readonly namesTokensById: boolean;
};

export function readDelivery(body: JsonObject): Delivery {
  const options = body['stream_options'] as JsonObject | null | undefined;
  const stream = body['stream'] === true;
  if (options !== undefined && options !== null && !stream)
    throw badParameter('stream_options', 'Stream options can only be defined when `stream=True`.');
  const includesUsage = options?.['include_usage'] === true;
  return {
    stream,
    includesUsage,
    usageInEveryChunk: includesUsage && options?.['continuous_usage_stats'] === true,
    returnsIds: body['return_token_ids'] === true,
    namesTokensById: body['return_tokens_as_token_ids'] === true,
  };
}

export type Usage = {
  readonly prompt_tokens: number;
  readonly total_tokens: number;
  readonly completion_tokens: number;
};

export const usageOf = (promptTokens: number, completionTokens: number): Usage => ({
  prompt_tokens: promptTokens,
  total_tokens: promptTokens + completionTokens,
  completion_tokens: completionTokens,
});

/** Of a whole answer: with the details that a flag turns on. */
export const fullUsage = (api: Api, usage: Usage, cachedTokens: number): object => ({
  ...usage,
  prompt_tokens_details: api.settings.promptTokenDetails
    ? { cached_tokens: cachedTokens, created_cache_tokens: 0, multimodal_tokens: null }
    : null,
  completion_tokens_details: null,
});
