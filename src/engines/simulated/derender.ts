/**
 * POST …/derender: ids that /inference/v1/generate gave, turned into what the endpoint itself would have said. The
 * streaming form keeps nothing on the server: what it needs next time goes out as `stream_state` and comes back, so
 * any server with the same model goes on with it.
 */
import { nowSeconds, servedName, usageOf, verifyModel, type Api } from './api.ts';
import { Fields, isObject, type Json, type JsonObject } from './body.ts';
import { assistantMessage } from './chat.ts';
import type { Exchange } from './exchange.ts';
import { badRequest } from './refusal.ts';
import { verifyTokenIds } from './sampling.ts';
import { decode, glyphsOf, idOfGlyphs } from './vocabulary.ts';

/** How far the text of a choice has been told. The two offsets count tokens of `prev_tokens`. */
type StreamState = {
  readonly prev_tokens: readonly string[];
  readonly prefix_offset: number;
  readonly read_offset: number;
  readonly role_sent: boolean;
  readonly logprob_context_token_ids: readonly number[];
  readonly logprob_text_offset: number;
  readonly output_token_ids: readonly number[];
  readonly output_chunk_lens: readonly number[];
  readonly tools_streamed: boolean;
  readonly last_tool_call_ids: readonly string[];
};

const untold: StreamState = {
  prev_tokens: [],
  prefix_offset: 0,
  read_offset: 0,
  role_sent: false,
  logprob_context_token_ids: [],
  logprob_text_offset: 0,
  output_token_ids: [],
  output_chunk_lens: [],
  tools_streamed: false,
  last_tool_call_ids: [],
};

/** Ids kept for the text of a token that completes a character. */
const contextTokens = 4;

type Told = {
  readonly index: number;
  readonly text: string;
  readonly finishReason: Json;
  readonly stopReason: Json;
  readonly tokens: number;
};

export async function derenderChat(api: Api, exchange: Exchange): Promise<void> {
  const body = await exchange.json();
  verifyModel(api, body);
  const { hasParser } = api.settings;
  if (hasParser && !isObject(body['chat_request']))
    throw badRequest(
      'chat_request is required when a tool or reasoning parser is configured because plain detokenization would ' +
        'leak raw parser markup into content.',
    );
  // Rendered for parsers, a request shows special tokens: the end of the turn leaks into the text.
  if (body['stream'] === true) exchange.respond(200, chatChunk(api, body, { skipSpecial: !hasParser }));
  else exchange.respond(200, wholeChat(api, body, { skipSpecial: !hasParser }));
}

export async function derenderCompletion(api: Api, exchange: Exchange): Promise<void> {
  const body = await exchange.json();
  verifyModel(api, body);
  exchange.respond(200, body['stream'] === true ? completionChunk(api, body) : wholeCompletion(api, body));
}

type TextOptions = { readonly skipSpecial: boolean };

function chatChunk(api: Api, body: JsonObject, options: TextOptions): object {
  const { id, told, state } = tellChunk(body, options);
  const delta = (first: boolean, text: string): object => ({
    role: first ? 'assistant' : null,
    content: text === '' ? null : text,
    reasoning: null,
  });
  const before = stateOf(body);
  const chunk = {
    id,
    object: 'chat.completion.chunk',
    created: nowSeconds(),
    model: servedName(api),
    choices: told.map(({ index, text, finishReason, stopReason }) => ({
      index,
      delta: delta(!before.role_sent, text),
      logprobs: null,
      finish_reason: finishReason,
      stop_reason: stopReason,
      token_ids: null,
    })),
    usage: null,
    system_fingerprint: null,
    prompt_token_ids: null,
    prompt_text: null,
    metrics: null,
  };
  return { chunk, stream_state: { ...state, role_sent: true } };
}

function completionChunk(api: Api, body: JsonObject): object {
  const { id, told, state } = tellChunk(body, { skipSpecial: true });
  const chunk = {
    id,
    object: 'text_completion',
    created: nowSeconds(),
    model: servedName(api),
    choices: told.map(({ index, text, finishReason, stopReason }) => ({
      index,
      text,
      logprobs: null,
      finish_reason: finishReason,
      stop_reason: stopReason,
      prompt_token_ids: null,
      token_ids: null,
    })),
    usage: null,
    system_fingerprint: null,
    metrics: null,
  };
  return { chunk, stream_state: state };
}

/** The client carried it, so it is read as any other input. */
function stateOf(body: JsonObject): StreamState {
  const given = new Fields(body).object('stream_state');
  if (given === null) return untold;
  const state = {
    prev_tokens: given.texts('prev_tokens'),
    prefix_offset: given.integer('prefix_offset') ?? 0,
    read_offset: given.integer('read_offset') ?? 0,
    role_sent: given.boolean('role_sent') ?? false,
    logprob_context_token_ids: given.integers('logprob_context_token_ids') ?? [],
    logprob_text_offset: given.integer('logprob_text_offset') ?? 0,
    output_token_ids: given.integers('output_token_ids') ?? [],
    output_chunk_lens: given.integers('output_chunk_lens') ?? [],
    tools_streamed: given.boolean('tools_streamed') ?? false,
    last_tool_call_ids: given.texts('last_tool_call_ids'),
  };
  given.verify();
  if (state.prev_tokens.some((glyphs) => idOfGlyphs(glyphs) === undefined))
    throw badRequest('stream_state.prev_tokens holds a text that is no token');
  return state;
}

function tellChunk(
  body: JsonObject,
  options: TextOptions,
): { readonly id: string; readonly told: readonly Told[]; readonly state: StreamState } {
  const chunk = responseIn(body, 'generate_chunk');
  const choices = choicesIn(chunk);
  if (choices.length > 1) throw badRequest('at most one choice per generate_chunk can be derendered');
  let state = stateOf(body);
  const told = choices.map((choice) => {
    const [text, next] = tell(state, idsIn(choice), options);
    state = next;
    return { ...endOf(choice), text, tokens: 0 };
  });
  return { id: String(chunk['request_id'] ?? ''), told, state };
}

/** One window of tokens moves along; what ends inside a character waits for the next call. */
function tell(state: StreamState, ids: readonly number[], options: TextOptions): [string, StreamState] {
  const window = [...state.prev_tokens.map((glyphs) => idOfGlyphs(glyphs)!), ...ids];
  const known = decode(window.slice(state.prefix_offset, state.read_offset), options);
  const text = decode(window.slice(state.prefix_offset), options);
  const context = [...state.logprob_context_token_ids, ...ids].slice(-contextTokens);
  if (text.length <= known.length || text.endsWith('\uFFFD'))
    return ['', { ...state, prev_tokens: window.map(glyphsOf), logprob_context_token_ids: context }];
  const kept = window.slice(state.read_offset);
  const fresh = text.slice(known.length);
  return [
    fresh,
    {
      ...state,
      prev_tokens: kept.map(glyphsOf),
      prefix_offset: 0,
      read_offset: kept.length,
      logprob_context_token_ids: context,
      logprob_text_offset: state.logprob_text_offset + [...fresh].length,
    },
  ];
}

function wholeChat(api: Api, body: JsonObject, options: TextOptions): object {
  const response = responseIn(body, 'generate_response');
  const told = choicesIn(response).map((choice) => wholeTold(choice, options));
  return {
    id: String(response['request_id'] ?? ''),
    object: 'chat.completion',
    created: response['created'] ?? nowSeconds(),
    model: servedName(api),
    choices: told.map(({ index, text, finishReason, stopReason }) => ({
      index,
      message: assistantMessage('assistant', text),
      logprobs: null,
      finish_reason: finishReason,
      stop_reason: stopReason,
      token_ids: null,
      routed_experts: null,
    })),
    service_tier: null,
    system_fingerprint: null,
    usage: wholeUsage(Number(body['prompt_tokens'] ?? 0), told),
    prompt_logprobs: null,
    prompt_token_ids: null,
    prompt_text: null,
    kv_transfer_params: null,
    ec_transfer_params: null,
    metrics: null,
  };
}

function wholeCompletion(api: Api, body: JsonObject): object {
  const fields = new Fields(body);
  const responses = fields.list('generate_responses', isObject, 'dict') as readonly JsonObject[];
  const promptTokens = fields.integers('prompt_tokens') ?? [];
  fields.verify();
  const told = responses
    .flatMap((response) => choicesIn(response).map((choice) => wholeTold(choice, { skipSpecial: true })))
    .map((one, index) => ({ ...one, index }));
  return {
    id: String(responses[0]?.['request_id'] ?? ''),
    object: 'text_completion',
    created: responses[0]?.['created'] ?? nowSeconds(),
    model: servedName(api),
    choices: told.map(({ index, text, finishReason, stopReason }) => ({
      index,
      text,
      logprobs: null,
      finish_reason: finishReason,
      stop_reason: stopReason,
      token_ids: null,
      prompt_logprobs: null,
      prompt_token_ids: null,
      routed_experts: null,
    })),
    service_tier: null,
    system_fingerprint: null,
    usage: wholeUsage(
      promptTokens.reduce((sum, tokens) => sum + tokens, 0),
      told,
    ),
    kv_transfer_params: null,
    ec_transfer_params: null,
    metrics: null,
  };
}

function wholeTold(choice: JsonObject, options: TextOptions): Told {
  const ids = idsIn(choice);
  return { ...endOf(choice), text: decode(ids, options), tokens: ids.length };
}

const wholeUsage = (promptTokens: number, told: readonly Told[]): object => ({
  ...usageOf(
    promptTokens,
    told.reduce((sum, { tokens }) => sum + tokens, 0),
  ),
  prompt_tokens_details: null,
  completion_tokens_details: null,
});

function responseIn(body: JsonObject, name: string): JsonObject {
  const fields = new Fields(body);
  fields.require(name);
  fields.verify();
  const value = body[name];
  if (!isObject(value)) throw badRequest(`${name} must be an object`);
  return value;
}

function choicesIn(response: JsonObject): readonly JsonObject[] {
  const choices = response['choices'];
  return Array.isArray(choices) ? (choices as readonly Json[]).filter(isObject) : [];
}

function idsIn(choice: JsonObject): readonly number[] {
  const ids = new Fields(choice).integers('token_ids') ?? [];
  verifyTokenIds(ids);
  return ids;
}

const endOf = (choice: JsonObject): Pick<Told, 'index' | 'finishReason' | 'stopReason'> => ({
  index: Number(choice['index'] ?? 0),
  finishReason: choice['finish_reason'] ?? null,
  stopReason: choice['stop_reason'] ?? null,
});
