/**
 * How a plain generation is asked for: first as the client asked, but streamed and with token ids; after a loss by
 * `/v1/completions` with prompt ids and generated ids as the prompt. Greedy decoding, and sampling whose generator is
 * keyed by position, then produce the very tokens that the lost engine would have; other sampling goes on as true
 * sampling does.
 *
 * The engine counts a few things from the start of its own request, so those are corrected by what was carried over:
 * max_tokens, min_tokens, and frequency_penalty, which subtracts once for each occurrence just as a logit_bias does.
 */
import { withFields, type Json } from '../std/json.ts';
import type { Endpoint } from './chunk.ts';
import type { ParsedRequest, PlainRequest } from './request.ts';

export type LegRequest = {
  readonly path:
    | '/v1/chat/completions'
    | '/v1/chat/completions/render'
    | '/v1/chat/completions/derender'
    | '/v1/completions'
    | '/inference/v1/generate';
  /** JSON. */
  readonly body: string;
  /** Whether the engine answers with events. */
  readonly streamed: boolean;
};

export const pathOf = (endpoint: Endpoint): LegRequest['path'] =>
  endpoint === 'chat' ? '/v1/chat/completions' : '/v1/completions';

/** Mean something for a chat or for a first request only; a completion from ids would refuse or misread them. */
const firstLegOnly = new Set([
  ...['messages', 'prompt', 'suffix', 'echo', 'n', 'best_of', 'use_beam_search', 'logprobs', 'top_logprobs'],
  ...['tools', 'tool_choice', 'parallel_tool_calls', 'functions', 'function_call', 'response_format'],
  ...[
    'chat_template',
    'chat_template_kwargs',
    'add_generation_prompt',
    'continue_final_message',
    'documents',
  ],
  ...['add_special_tokens', 'mm_processor_kwargs', 'reasoning_effort', 'include_reasoning', 'modalities'],
  ...[
    'max_completion_tokens',
    'max_tokens',
    'min_tokens',
    'request_id',
    'store',
    'metadata',
    'stream_options',
  ],
]);

export function firstLeg(request: PlainRequest): LegRequest {
  const { body, endpoint, untouched, streamed } = request;
  const fields = {
    ...(body['return_token_ids'] === true ? {} : { return_token_ids: true }),
    ...(streamed ? {} : streaming(request)),
    ...stopping(request, endpoint),
  };
  return { path: pathOf(endpoint), body: withFields(untouched.raw, fields), streamed: true };
}

/** The stream as it is, and the ids that go with it. */
export const firstLegOf = ({ raw }: ParsedRequest): LegRequest => ({
  path: '/v1/chat/completions',
  body: withFields(raw, { return_token_ids: true }),
  streamed: true,
});

/** Tokens that may follow after `carried`; zero or less: the answer is complete. */
export function remainingTokens(request: PlainRequest, promptTokens: number, carried: number): number {
  const room = request.maxModelLen === null ? Infinity : request.maxModelLen - promptTokens;
  return Math.min(request.maxTokens ?? Infinity, room) - carried;
}

/** `mayEcho`: the prompt may end inside a character. */
export function continuationLeg(
  request: PlainRequest,
  { promptIds, carried }: { readonly promptIds: readonly number[]; readonly carried: readonly number[] },
  mayEcho: boolean,
): LegRequest {
  const kept = Object.entries(request.body).filter(([name]) => !firstLegOnly.has(name));
  const minTokens = Math.max(0, request.minTokens - carried.length);
  const body = {
    ...Object.fromEntries(kept),
    ...streaming(request),
    ...stopping(request, 'completions'),
    ...(request.showsSpecials ? { skip_special_tokens: false } : {}),
    // It would find them in the prompt that it says again.
    ...(mayEcho ? { stop: [] } : {}),
    prompt: [...promptIds, ...carried],
    max_tokens: remainingTokens(request, promptIds.length, carried.length),
    ...(minTokens > 0 ? { min_tokens: minTokens } : {}),
    ...bias(request, carried),
  };
  return { path: '/v1/completions', body: JSON.stringify(body), streamed: true };
}

/**
 * An answer that is not streamed to the client needs its usage all the same, and what turns to reasoning is passed on with
 * the usage that its engine tells.
 */
function streaming({ streamed, wants }: PlainRequest): Json {
  const usage = wants.usage || !streamed;
  const continuous = wants.continuousUsage ? { continuous_usage_stats: true } : {};
  return {
    stream: true,
    return_token_ids: true,
    ...(usage ? { stream_options: { include_usage: true, ...continuous } } : {}),
  };
}

/**
 * The engine is to stop by itself but to hold nothing back. `include_stop_str_in_output` would also show the text of
 * the token that stops it, so where there can be such a text the engine is not told the strings and is cut off at a
 * match. In a chat there can: for its parsers an engine shows special tokens, the end of the turn among them.
 */
function stopping({ body, stops, includeStop, showsSpecials }: PlainRequest, endpoint: Endpoint): Json {
  if (stops.length === 0 || includeStop) return {};
  const ids = body['stop_token_ids'];
  const hasStopTokens = Array.isArray(ids) && ids.length > 0;
  const isShown = showsSpecials || body['skip_special_tokens'] === false;
  const tokenHasText = endpoint === 'chat' || hasStopTokens || isShown;
  return tokenHasText ? { stop: [] } : { include_stop_str_in_output: true };
}

/** What frequency_penalty would subtract for tokens that the engine takes for its prompt. */
export function bias(
  { body, frequencyPenalty }: Pick<PlainRequest, 'body' | 'frequencyPenalty'>,
  carried: readonly number[],
): Json {
  if (frequencyPenalty === 0) return {};
  const biases: Record<string, number> = { ...(body['logit_bias'] as Record<string, number> | undefined) };
  for (const id of carried) biases[id] = (biases[id] ?? 0) - frequencyPenalty;
  return { logit_bias: biases };
}
