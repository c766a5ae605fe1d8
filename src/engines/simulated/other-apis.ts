/**
 * POST /v1/messages, /v1/messages/count_tokens and /v1/responses: the chat endpoint under the names of others. Their
 * answers in one piece are as recorded from vLLM. Their streams were not recorded, so there are none: whoever asks for
 * one is refused rather than given something that no vLLM says.
 */
import { answerWhole, type WholeChoice } from './answering.ts';
import { nowSeconds, servedName, type Api } from './api.ts';
import { isObject, type Json, type JsonObject } from './body.ts';
import { readChat } from './chat.ts';
import { randomId, type Exchange } from './exchange.ts';
import { badParameter } from './refusal.ts';

export async function messages(api: Api, exchange: Exchange): Promise<void> {
  const body = await exchange.json();
  await answer(api, exchange, chatOfMessages(body), (choice, promptTokens) => ({
    id: `chatcmpl-${randomId()}`,
    ...{ type: 'message', role: 'assistant', content: [{ type: 'text', text: choice.text }] },
    model: servedName(api),
    ...stopOf(choice),
    usage: { input_tokens: promptTokens, output_tokens: choice.tokenIds.length },
  }));
}

export async function countTokens(api: Api, exchange: Exchange): Promise<void> {
  const body = await exchange.json();
  const { promptIds } = readChat(api, { ...chatOfMessages(body), max_tokens: 1 });
  exchange.respond(200, { input_tokens: promptIds.length });
}

export async function responses(api: Api, exchange: Exchange): Promise<void> {
  const body = await exchange.json();
  const chat = chatOfResponse(body);
  await answer(api, exchange, chat, (choice, promptTokens) => {
    const isCut = choice.finish.reason === 'length';
    const answered = choice.tokenIds.length;
    return {
      ...{ id: `resp_${randomId()}`, created_at: nowSeconds() },
      incomplete_details: isCut ? { reason: 'max_output_tokens' } : null,
      ...{ instructions: body['instructions'] ?? null, metadata: body['metadata'] ?? null },
      ...{ model: servedName(api), object: 'response', output: [outputOf(choice)] },
      parallel_tool_calls: true,
      temperature: body['temperature'] ?? 1,
      ...{ tool_choice: 'none', tools: [], top_p: body['top_p'] ?? 1, background: false },
      max_output_tokens: chat['max_tokens'] ?? null,
      ...{ max_tool_calls: null, previous_response_id: null, prompt: null, reasoning: null },
      ...{ service_tier: 'auto', status: isCut ? 'incomplete' : 'completed', text: null, top_logprobs: null },
      truncation: 'disabled',
      usage: usageOf({ promptTokens, cachedTokens: choice.cachedTokens, answered }),
      ...{ user: body['user'] ?? null, presence_penalty: 0, frequency_penalty: 0 },
      ...{ kv_transfer_params: null, ec_transfer_params: null, input_messages: null, output_messages: null },
    };
  });
}

type Write = (choice: WholeChoice, promptTokens: number) => object;

async function answer(api: Api, exchange: Exchange, chat: JsonObject, write: Write): Promise<void> {
  if (chat['stream'] === true) throw badParameter('stream', 'The simulated engine streams no such answer.');
  const { sampling, promptIds, maxTokens } = readChat(api, chat);
  const request = { index: 0, promptIds, maxTokens, sampling, logprobs: null };
  const choices = { requestId: exchange.requestId(null), requests: [request] };
  answerWhole(api, exchange, choices, ([whole]) => write(whole!, promptIds.length));
  return Promise.resolve();
}

/** What has another name there than in a chat; the rest is called alike. */
function chatOfMessages({ system, stop_sequences: stop = null, ...body }: JsonObject): JsonObject {
  return { ...body, stop, messages: withSystem(system, body['messages']) };
}

function chatOfResponse({
  instructions,
  input,
  max_output_tokens: max_tokens = null,
  ...body
}: JsonObject): JsonObject {
  const said = typeof input === 'string' ? [{ role: 'user', content: input }] : input;
  return {
    ...body,
    max_tokens,
    messages: withSystem(instructions, Array.isArray(said) ? said.map(turn) : said),
  };
}

function withSystem(system: Json | undefined, messages: Json | undefined): Json {
  if (system === undefined || system === null || !Array.isArray(messages)) return messages ?? null;
  return [{ role: 'system', content: system }, ...(messages as readonly Json[])];
}

/** Parts of the Responses API are texts by other names. */
function turn(message: Json): Json {
  if (!isObject(message) || !Array.isArray(message['content'])) return message;
  const content = (message['content'] as readonly Json[]).map((part) =>
    isObject(part) && /^(in|out)put_text$/.test(String(part['type'])) ? { ...part, type: 'text' } : part,
  );
  return { ...message, content };
}

function stopOf({ finish }: WholeChoice): object {
  if (finish.reason === 'length') return { stop_reason: 'max_tokens' };
  return typeof finish.stopReason === 'string'
    ? { stop_reason: 'stop_sequence', stop_sequence: finish.stopReason }
    : { stop_reason: 'end_turn' };
}

const outputOf = ({ text }: WholeChoice): object => ({
  id: `msg_${randomId()}`,
  content: [{ annotations: [], text, type: 'output_text', logprobs: null }],
  ...{ role: 'assistant', status: 'completed', type: 'message', phase: null },
});

type Counted = { readonly promptTokens: number; readonly cachedTokens: number; readonly answered: number };

const usageOf = ({ promptTokens, cachedTokens, answered }: Counted): object => ({
  input_tokens: promptTokens,
  input_tokens_details: {
    ...{ cached_tokens: cachedTokens, cache_write_tokens: 0 },
    ...{ input_tokens_per_turn: [], cached_tokens_per_turn: [] },
  },
  output_tokens: answered,
  output_tokens_details: {
    ...{ reasoning_tokens: 0, tool_output_tokens: 0 },
    ...{ output_tokens_per_turn: [], tool_output_tokens_per_turn: [] },
  },
  total_tokens: promptTokens + answered,
});
