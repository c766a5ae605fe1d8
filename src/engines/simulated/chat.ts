/** POST /v1/chat/completions: a conversation in, the assistant's turn out, whole or as a stream. */
import { answerStream, answerWhole, type WholeChoice } from './answering.ts';
import {
  fingerprintOf,
  fullUsage,
  nowSeconds,
  readDelivery,
  servedName,
  tokenize,
  usageOf,
  verifyModel,
  type Api,
  type Delivery,
} from './api.ts';
import { Fields, isObject, type JsonObject } from './body.ts';
import { readConversation, renderConversation, type Conversation } from './chat-template.ts';
import type { Exchange } from './exchange.ts';
import type { ChoiceOutput, ChoiceRequest } from './generation.ts';
import { chatLogprobs } from './logprobs.ts';
import { deltaBetween, parseMarkup } from './markup.ts';
import { badParameter, badRequest } from './refusal.ts';
import {
  readSampling,
  resolveMaxTokens,
  verifyLogprobs,
  verifyPromptLength,
  verifySampling,
  type Sampling,
} from './sampling.ts';

type ChatRequest = {
  readonly requestId: string | null;
  readonly conversation: Conversation;
  readonly promptIds: readonly number[];
  readonly maxTokens: number;
  readonly sampling: Sampling;
  readonly delivery: Delivery;
  /** Null: no logprobs. */
  readonly logprobs: number | null;
  readonly echo: boolean;
};

export async function chat(api: Api, exchange: Exchange): Promise<void> {
  const request = readChat(api, await exchange.json());
  api.engine.verifyRoom(request.sampling.n);
  const { sampling, promptIds, maxTokens, logprobs, delivery } = request;
  const requests = Array.from({ length: sampling.n }, (_, index): ChoiceRequest => {
    const seed = sampling.seed === null ? null : sampling.seed + index;
    return { index, promptIds, maxTokens, sampling: { ...sampling, seed }, logprobs };
  });
  const id = `chatcmpl-${exchange.requestId(request.requestId)}`;
  const writer = new ChatWriter(api, request, { id, created: nowSeconds() });
  const choices = { requestId: id, requests };
  if (delivery.stream) answerStream(api, exchange, choices, writer);
  else answerWhole(api, exchange, choices, (whole) => writer.whole(whole));
}

export function readChat(api: Api, body: JsonObject): ChatRequest {
  const delivery = readDelivery(body);
  const fields = new Fields(body);
  const conversation = readConversation(fields);
  const sampling = readSampling(fields, api.settings.generationConfig);
  const asked = fields.integer('max_completion_tokens') ?? fields.integer('max_tokens');
  const wantsLogprobs = fields.boolean('logprobs') ?? false;
  const topLogprobs = fields.integer('top_logprobs');
  const echo = fields.boolean('echo') ?? false;
  const requestId = fields.text('request_id');
  fields.verify();
  verifyLogprobs('top_logprobs', topLogprobs);
  if ((topLogprobs ?? 0) > 0 && !wantsLogprobs)
    throw badParameter('top_logprobs', 'when using `top_logprobs`, `logprobs` must be set to true.');
  verifyModel(api, body);
  verifyTools(api, body);
  const { contextTokens } = api.settings;
  const promptIds = tokenize(api, renderConversation(conversation));
  verifyPromptLength({ promptTokens: promptIds.length, contextTokens, ofText: true });
  const maxTokens = resolveMaxTokens(asked, promptIds.length, contextTokens);
  verifySampling(sampling);
  const logprobs = wantsLogprobs ? (topLogprobs ?? 0) : null;
  const skipSpecial = sampling.skipSpecial && !showsSpecial(api, body);
  return {
    ...{ requestId, conversation, promptIds, maxTokens, delivery, logprobs, echo },
    sampling: { ...sampling, skipSpecial },
  };
}

/** Parsers need to see special tokens, and whatever of them is no markup comes out as text. */
function showsSpecial({ settings }: Api, body: JsonObject): boolean {
  const tools = body['tools'];
  const mayCall = Array.isArray(tools) && tools.length > 0 && body['tool_choice'] !== 'none';
  return settings.hasReasoningParser || (settings.autoTools && mayCall);
}

function verifyTools(api: Api, body: JsonObject): void {
  const tools = body['tools'];
  const hasTools = Array.isArray(tools) && tools.length > 0;
  const choice = body['tool_choice'] ?? (hasTools ? 'auto' : 'none');
  if (choice === 'auto' && hasTools && !api.settings.autoTools)
    throw badRequest(
      '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
    );
  if (isObject(choice) && !hasTools)
    throw badParameter('tool_choice', 'When using `tool_choice`, `tools` must be set.');
}

class ChatWriter {
  readonly #api: Api;
  readonly #request: ChatRequest;
  readonly #head: { readonly id: string; readonly created: number };
  readonly #fingerprint: string;
  /** Per choice: tokens sent. */
  readonly #sent = new Map<number, number>();
  /** Per choice: text sent, where parsers have to see all of it. */
  readonly #texts = new Map<number, string>();
  #begun = false;

  constructor(api: Api, request: ChatRequest, head: { readonly id: string; readonly created: number }) {
    this.#api = api;
    this.#request = request;
    this.#head = head;
    this.#fingerprint = fingerprintOf(api);
  }

  chunks(outputs: readonly ChoiceOutput[]): readonly object[] {
    const opening = this.#begun ? [] : this.#opening();
    this.#begun = true;
    return [...opening, ...outputs.map((output) => this.#chunk(output))];
  }

  /** The role, once for each choice, with the first token; then what is echoed of the last message. */
  #opening(): readonly object[] {
    const { delivery, promptIds, sampling } = this.#request;
    const indices = Array.from({ length: sampling.n }, (_, index) => index);
    const shape = (index: number, delta: object): object => ({
      choices: [{ index, delta, logprobs: null, finish_reason: null }],
      ...(delivery.usageInEveryChunk ? { usage: continuousUsage(promptIds.length, 0) } : {}),
    });
    const roles = indices.map((index) => ({
      ...this.#chunkHead(),
      ...shape(index, { role: this.#role(), content: '' }),
      prompt_token_ids: delivery.returnsIds ? promptIds : null,
      prompt_text: null,
    }));
    const echoed = this.#echoed();
    const echoes =
      echoed === ''
        ? []
        : indices.map((index) => ({ ...this.#chunkHead(), ...shape(index, { content: echoed }) }));
    return [...roles, ...echoes];
  }

  #chunk({ index, text, tokenIds, likelihoods, finish }: ChoiceOutput): object {
    const { delivery, logprobs, promptIds } = this.#request;
    const sent = (this.#sent.get(index) ?? 0) + tokenIds.length;
    this.#sent.set(index, sent);
    const choice = {
      index,
      delta: this.#parses ? this.#parsedDelta(index, text) : { content: text },
      logprobs: logprobs === null ? null : this.#logprobs(likelihoods, logprobs),
      finish_reason: finish === null ? null : this.#reasonOf(finish.reason, this.#texts.get(index) ?? ''),
      ...(finish === null ? {} : { stop_reason: finish.stopReason }),
      token_ids: delivery.returnsIds ? tokenIds : null,
    };
    const isStamped = finish !== null && !delivery.includesUsage;
    return {
      ...this.#chunkHead(),
      choices: [choice],
      ...(delivery.usageInEveryChunk ? { usage: continuousUsage(promptIds.length, sent) } : {}),
      ...(isStamped ? { system_fingerprint: this.#fingerprint } : {}),
    };
  }

  get #parses(): boolean {
    return this.#api.settings.markup && this.#api.settings.hasParser;
  }

  #parsedDelta(index: number, added: string): object {
    const before = this.#texts.get(index) ?? '';
    this.#texts.set(index, before + added);
    return deltaBetween(
      parseMarkup(before),
      parseMarkup(before + added),
      `${this.#head.id.slice(-8)}${index}`,
    );
  }

  /** A turn that ends with calls ends for them, unless it was cut short. */
  #reasonOf(reason: string, text: string): string {
    return this.#parses && reason === 'stop' && parseMarkup(text).calls.length > 0 ? 'tool_calls' : reason;
  }

  usageChunk(): object | null {
    const { delivery, promptIds } = this.#request;
    if (!delivery.includesUsage) return null;
    const completion = [...this.#sent.values()].reduce((sum, tokens) => sum + tokens, 0);
    const usage = usageOf(promptIds.length, completion);
    return { ...this.#chunkHead(), choices: [], usage, system_fingerprint: this.#fingerprint };
  }

  whole(choices: readonly WholeChoice[]): object {
    const { delivery, promptIds, logprobs } = this.#request;
    const completion = choices.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0);
    const usage = usageOf(promptIds.length, completion);
    return {
      id: this.#head.id,
      object: 'chat.completion',
      created: this.#head.created,
      model: servedName(this.#api),
      choices: choices.map(({ index, text, likelihoods, finish, tokenIds }) => ({
        index,
        message: this.#message(text),
        logprobs: logprobs === null ? null : this.#logprobs(likelihoods, logprobs),
        finish_reason: this.#reasonOf(finish.reason, text),
        stop_reason: finish.stopReason,
        token_ids: delivery.returnsIds ? tokenIds : null,
        routed_experts: null,
      })),
      service_tier: null,
      system_fingerprint: this.#fingerprint,
      usage: fullUsage(this.#api, usage, choices[0]?.cachedTokens ?? 0),
      prompt_logprobs: null,
      prompt_token_ids: delivery.returnsIds ? promptIds : null,
      prompt_text: null,
      kv_transfer_params: null,
      ec_transfer_params: null,
      metrics: null,
    };
  }

  #message(text: string): object {
    if (!this.#parses) return assistantMessage(this.#role(), this.#echoed() + text);
    return parsedMessage(this.#role(), text, this.#head.id.slice(-8));
  }

  #chunkHead(): object {
    const { id, created } = this.#head;
    return { id, object: 'chat.completion.chunk', created, model: servedName(this.#api) };
  }

  #logprobs(likelihoods: ChoiceOutput['likelihoods'], count: number): object {
    return chatLogprobs(likelihoods, { count, byId: this.#request.delivery.namesTokensById });
  }

  #role(): string {
    const { opensTurn, messages } = this.#request.conversation;
    return opensTurn ? 'assistant' : (messages.at(-1)?.role ?? 'assistant');
  }

  #echoed(): string {
    const last = this.#request.conversation.messages.at(-1);
    return this.#request.echo && last?.role === this.#role() ? last.content : '';
  }
}

export const assistantMessage = (role: string, content: string): object => ({
  role,
  content,
  refusal: null,
  annotations: null,
  audio: null,
  function_call: null,
  reasoning: null,
});

/** As a whole, the blank lines around thoughts and calls are nobody's content. */
export function parsedMessage(role: string, text: string, id: string): object {
  const { reasoning, content, ...rest } = deltaBetween(parseMarkup(''), parseMarkup(text), id);
  const said = typeof content === 'string' ? content.trim() : '';
  return {
    ...assistantMessage(role, ''),
    content: said === '' ? null : said,
    ...rest,
    reasoning: reasoning ?? null,
  };
}

const continuousUsage = (promptTokens: number, completionTokens: number): object => ({
  ...usageOf(promptTokens, completionTokens),
  completion_tokens_details: null,
});
