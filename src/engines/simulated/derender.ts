/**
 * POST …/derender: ids that /inference/v1/generate gave, turned into what the endpoint itself would have said. The
 * streaming form keeps nothing on the server: what it needs next time goes out as `stream_state` and comes back, so
 * any server with the same model goes on with it.
 */
import { nowSeconds, servedName, usageOf, verifyModel, type Api } from './api.ts';
import { Fields, isObject, type Json, type JsonObject } from './body.ts';
import { assistantMessage, parsedMessage } from './chat.ts';
import { stateOf, tell, type StreamState, type TextOptions } from './derender-state.ts';
import type { Exchange } from './exchange.ts';
import { renamedLogprobs } from './logprobs.ts';
import { badRequest } from './refusal.ts';
import { verifyTokenIds } from './sampling.ts';
import { deltaBetween, parseMarkup } from './markup.ts';
import { decode } from './vocabulary.ts';

type Told = {
  readonly index: number;
  readonly text: string;
  readonly finishReason: Json;
  readonly stopReason: Json;
  readonly tokens: number;
  readonly logprobs: object | null;
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
  // For parsers special tokens are shown: the end of the turn leaks into the text.
  if (body['stream'] === true && hasParser) exchange.respond(200, parsedChunk(api, body));
  else if (body['stream'] === true) exchange.respond(200, chatChunk(api, body, { skipSpecial: !hasParser }));
  else exchange.respond(200, wholeChat(api, body, { skipSpecial: !hasParser }));
}

export async function derenderCompletion(api: Api, exchange: Exchange): Promise<void> {
  const body = await exchange.json();
  verifyModel(api, body);
  exchange.respond(200, body['stream'] === true ? completionChunk(api, body) : wholeCompletion(api, body));
}

function chatChunk(api: Api, body: JsonObject, options: TextOptions) {
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
    choices: told.map(({ index, text, logprobs, finishReason, stopReason }) => ({
      index,
      delta: delta(!before.role_sent, text),
      logprobs,
      finish_reason: finishReason,
      stop_reason: stopReason,
      token_ids: null,
    })),
    usage: usageIn(body),
    system_fingerprint: null,
    prompt_token_ids: null,
    prompt_text: null,
    metrics: null,
  };
  return { chunk, stream_state: { ...state, role_sent: true } };
}

/** With parsers all earlier ids are read again at each call, and what is told is what the new ones make of them. */
function parsedChunk(api: Api, body: JsonObject): object {
  const before = stateOf(body);
  const { chunk, stream_state: state } = chatChunk(
    api,
    { ...body, stream_state: null },
    { skipSpecial: false },
  );
  const choices = choicesIn(responseIn(body, 'generate_chunk'));
  const added = choices.flatMap(idsIn);
  const ids = [...before.output_token_ids, ...added];
  const [past, now] = [before.output_token_ids, ids].map((list) => parseMarkup(wholeText(list)));
  const told = { role: before.role_sent ? null : 'assistant', content: null, reasoning: null };
  const isCalling = now!.calls.length > 0;
  return {
    chunk: {
      ...chunk,
      choices: chunk.choices.map((choice) => ({
        ...choice,
        delta: { ...told, ...deltaBetween(past!, now!, `${ids.length}`) },
        finish_reason: isCalling && choice.finish_reason === 'stop' ? 'tool_calls' : choice.finish_reason,
      })),
    },
    stream_state: {
      ...state,
      ...{ prev_tokens: [], prefix_offset: 0, read_offset: 0, role_sent: true, tools_streamed: isCalling },
      output_token_ids: ids,
      output_chunk_lens: [...before.output_chunk_lens, added.length],
    },
  };
}

/** Without the beginning of a character at its end. */
const wholeText = (ids: readonly number[]): string =>
  decode(ids, { skipSpecial: false }).replace(/\uFFFD+$/, '');

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
    usage: usageIn(body),
    system_fingerprint: null,
    metrics: null,
  };
  return { chunk, stream_state: state };
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
    const logprobs = renamedLogprobs(choice['logprobs'], state.logprob_context_token_ids);
    const [text, next] = tell(state, idsIn(choice), options);
    state = next;
    return { ...endOf(choice), text, tokens: 0, logprobs };
  });
  return { id: String(chunk['request_id'] ?? ''), told, state };
}

function wholeChat(api: Api, body: JsonObject, options: TextOptions): object {
  const response = responseIn(body, 'generate_response');
  const told = choicesIn(response).map((choice) => wholeTold(choice, options));
  return {
    id: String(response['request_id'] ?? ''),
    object: 'chat.completion',
    created: response['created'] ?? nowSeconds(),
    model: servedName(api),
    choices: told.map(({ index, text, logprobs, finishReason, stopReason }) => ({
      index,
      message: api.settings.markup
        ? parsedMessage('assistant', text, String(response['request_id'] ?? '').slice(-8))
        : assistantMessage('assistant', text),
      logprobs,
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
  const logprobs = renamedLogprobs(choice['logprobs'], []);
  return { ...endOf(choice), text: decode(ids, options), tokens: ids.length, logprobs };
}

/** The usage of a chunk that has one, as the endpoint itself would write it. */
function usageIn(body: JsonObject): object | null {
  const chunk = body['generate_chunk'];
  const usage = isObject(chunk) ? chunk['usage'] : null;
  if (!isObject(usage)) return null;
  const fields = new Fields(usage);
  const counted = usageOf(fields.integer('prompt_tokens') ?? 0, fields.integer('completion_tokens') ?? 0);
  return { ...counted, prompt_tokens_details: null, completion_tokens_details: null };
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
