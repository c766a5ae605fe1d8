/**
 * POST …/render: what chat and completions would hand to the engine, as a request for /inference/v1/generate. The
 * rendered ids are the very prompt ids of the endpoint itself.
 */
import { servedName, type Api, type Delivery } from './api.ts';
import { isObject, type JsonObject } from './body.ts';
import { readChat } from './chat.ts';
import { readCompletion } from './completions.ts';
import type { Exchange } from './exchange.ts';
import type { Sampling } from './sampling.ts';

/** vLLM's own numbers for "a delta at a time" and "only at the end". */
const outputKind = { delta: 1, final: 2 } as const;

export async function renderChat(api: Api, exchange: Exchange): Promise<void> {
  const body = await exchange.json();
  const request = readChat(api, body);
  const { hasParser } = api.settings;
  const { opensTurn, continuesLast } = request.conversation;
  const kwargs = {
    cohere_format: 'cmd4',
    add_generation_prompt: opensTurn,
    continue_final_message: continuesLast,
    ...((body['chat_template_kwargs'] as JsonObject | null | undefined) ?? {}),
  };
  exchange.respond(
    200,
    rendered(api, body, {
      ...request,
      id: `chatcmpl-${exchange.requestId(request.requestId)}`,
      reasoning: hasParser
        ? { ended: false, kwargs: { chat_template_kwargs: kwargs } }
        : { ended: null, kwargs: null },
    }),
  );
}

/** A list: one request for each prompt. */
export async function renderCompletion(api: Api, exchange: Exchange): Promise<void> {
  const body = await exchange.json();
  const request = readCompletion(api, body);
  const id = `cmpl-${exchange.requestId(request.requestId)}`;
  const list = request.promptIds.map((promptIds, i) =>
    rendered(api, body, {
      ...request,
      id: `${id}-${i}`,
      promptIds,
      maxTokens: request.maxTokens[i]!,
      reasoning: { ended: null, kwargs: null },
    }),
  );
  exchange.respond(200, list);
}

type Rendering = {
  readonly id: string;
  readonly promptIds: readonly number[];
  readonly maxTokens: number;
  readonly sampling: Sampling;
  readonly logprobs: number | null;
  readonly delivery: Delivery;
  readonly reasoning: { readonly ended: boolean | null; readonly kwargs: object | null };
};

function rendered(api: Api, body: JsonObject, rendering: Rendering): object {
  const { delivery, reasoning } = rendering;
  return {
    request_id: rendering.id,
    token_ids: rendering.promptIds,
    token_offsets: null,
    features: null,
    content_parts: null,
    sampling_params: samplingParams(body, rendering),
    model: servedName(api),
    reasoning_ended: reasoning.ended,
    reasoning_parser_kwargs: reasoning.kwargs,
    return_token_ids: null,
    output_mode: 'tokens',
    stream: delivery.stream,
    stream_options: delivery.includesUsage
      ? { include_usage: true, continuous_usage_stats: delivery.usageInEveryChunk }
      : null,
    cache_salt: body['cache_salt'] ?? null,
    priority: body['priority'] ?? 0,
    kv_transfer_params: null,
    ec_transfer_params: null,
  };
}

/** Values that are SamplingParams' own defaults are left out, with the exceptions that vLLM makes. */
function samplingParams(body: JsonObject, rendering: Rendering): object {
  const { sampling, delivery, logprobs, maxTokens } = rendering;
  const { temperature, stop } = sampling;
  const grammar = grammarOf(body);
  const held = Math.max(0, ...stop.map((text) => [...text].length - 1));
  const unless = (isDefault: boolean, value: object): object => (isDefault ? {} : value);
  return {
    ...unless(sampling.n === 1, { n: sampling.n }),
    presence_penalty: sampling.presencePenalty,
    frequency_penalty: sampling.frequencyPenalty,
    repetition_penalty: sampling.repetitionPenalty,
    temperature,
    ...unless(temperature === 0, { top_p: sampling.topP ?? 1, min_p: sampling.minP ?? 0 }),
    ...unless(temperature === 0 || sampling.topK === 0, { top_k: sampling.topK }),
    ...unless(sampling.seed === null, { seed: sampling.seed }),
    stop,
    stop_token_ids: sampling.stopTokenIds,
    ...unless(!sampling.ignoreEos, { ignore_eos: true }),
    ...unless(maxTokens === 16, { max_tokens: maxTokens }),
    ...unless(sampling.minTokens === 0, { min_tokens: sampling.minTokens }),
    ...unless(logprobs === null, { logprobs }),
    ...unless(sampling.skipSpecial, { skip_special_tokens: false }),
    ...unless(!sampling.includeStop, { include_stop_str_in_output: true }),
    output_kind: delivery.stream ? outputKind.delta : outputKind.final,
    skip_clone: true,
    ...unless(held === 0, { output_text_buffer_length: held }),
    ...unless(sampling.logitBias.length === 0, { logit_bias: Object.fromEntries(sampling.logitBias) }),
    ...unless(sampling.allowed === null, { allowed_token_ids: sampling.allowed }),
    ...unless(grammar === null, { structured_outputs: grammar }),
    bad_words: [],
    skip_reading_prefix_cache: false,
  };
}

const noGrammar = {
  json: null,
  regex: null,
  choice: null,
  grammar: null,
  json_object: null,
  disable_any_whitespace: false,
  disable_additional_properties: false,
  whitespace_pattern: null,
  structural_tag: null,
  _backend: null,
  _backend_was_auto: false,
};

/** Both ways of asking for a grammar end in this one. */
function grammarOf(body: JsonObject): object | null {
  const given = body['structured_outputs'];
  if (isObject(given)) return { ...noGrammar, ...given };
  const format = body['response_format'];
  if (!isObject(format)) return null;
  const named = format['json_schema'];
  if (format['type'] === 'json_schema' && isObject(named))
    return { ...noGrammar, json: named['schema'] ?? null };
  return format['type'] === 'json_object' ? { ...noGrammar, json_object: true } : null;
}
