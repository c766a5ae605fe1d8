/** POST /v1/completions: text or ids in, text (and ids) out, whole or as a stream. */
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
import { Fields, type Json } from './body.ts';
import type { Exchange } from './exchange.ts';
import type { ChoiceOutput, ChoiceRequest } from './generation.ts';
import { completionLogprobs, scorePrompt, type Scored } from './logprobs.ts';
import { answerStream, answerWhole, type WholeChoice } from './answering.ts';
import { badParameter, badRequest } from './refusal.ts';
import {
  readSampling,
  resolveMaxTokens,
  verifyLogprobs,
  verifyPromptLength,
  verifySampling,
  verifyTokenIds,
  type Sampling,
} from './sampling.ts';
import { decode } from './vocabulary.ts';

/** What an absent or null max_tokens means here; chat has the whole context. */
const maxTokensDefault = 16;

type CompletionRequest = {
  readonly requestId: string | null;
  readonly promptIds: readonly (readonly number[])[];
  readonly maxTokens: readonly number[];
  readonly sampling: Sampling;
  readonly delivery: Delivery;
  readonly logprobs: number | null;
  readonly echo: boolean;
  /** `max_tokens: 0` with `echo`: only the prompt comes back. */
  readonly onlyEcho: boolean;
};

export async function complete(api: Api, exchange: Exchange): Promise<void> {
  const request = readCompletion(api, await exchange.json());
  api.engine.verifyRoom(request.promptIds.length * request.sampling.n);
  const { sampling, promptIds, maxTokens, logprobs, delivery } = request;
  const requests = promptIds.flatMap((ids, prompt) =>
    Array.from({ length: sampling.n }, (_, i): ChoiceRequest => {
      const seed = sampling.seed === null ? null : sampling.seed + i;
      const index = prompt * sampling.n + i;
      return {
        index,
        promptIds: ids,
        maxTokens: maxTokens[prompt]!,
        sampling: { ...sampling, seed },
        logprobs,
      };
    }),
  );
  const id = `cmpl-${exchange.requestId(request.requestId)}`;
  const head = { id, object: 'text_completion', created: nowSeconds(), model: servedName(api) };
  const writer = new CompletionWriter(api, request, head);
  const choices = { requestId: id, requests };
  if (delivery.stream) answerStream(api, exchange, choices, writer);
  else answerWhole(api, exchange, choices, (whole) => writer.whole(whole));
}

export function readCompletion(api: Api, body: Awaited<ReturnType<Exchange['json']>>): CompletionRequest {
  const delivery = readDelivery(body);
  const prompt = body['prompt'] ?? null;
  if (prompt === null || prompt === '')
    throw badParameter('prompt', 'Either prompt or prompt_embeds must be provided and non-empty.');
  const fields = new Fields(body);
  const prompts = readPrompts(fields, prompt);
  const sampling = readSampling(fields, api.settings.generationConfig);
  const asked = fields.integer('max_tokens') ?? maxTokensDefault;
  const echo = fields.boolean('echo') ?? false;
  const logprobs = fields.integer('logprobs');
  const requestId = fields.text('request_id');
  fields.verify();
  verifyModel(api, body);
  if (prompts.length === 0) throw badRequest('You must pass at least one prompt');
  if ((fields.text('suffix') ?? '') !== '') throw badRequest('suffix is not currently supported');
  verifyLogprobs('logprobs', logprobs);
  const onlyEcho = echo && asked === 0;
  const { contextTokens } = api.settings;
  const promptIds = prompts.map((one) => idsOf(api, one));
  const maxTokens = promptIds.map((ids) => resolveMaxTokens(onlyEcho ? 1 : asked, ids.length, contextTokens));
  verifySampling(sampling);
  return { requestId, promptIds, maxTokens, sampling, delivery, logprobs, echo, onlyEcho };
}

type Prompt = string | readonly number[];

function readPrompts(fields: Fields, prompt: Json): readonly Prompt[] {
  if (typeof prompt === 'string') return [prompt];
  if (Array.isArray(prompt)) {
    const list = prompt as readonly Json[];
    if (list.every((one) => isTokenId(one))) return list.length === 0 ? [] : [list as readonly number[]];
    // Texts or lists of ids: a list of both is neither.
    const areIds = list.every((one) => Array.isArray(one) && (one as readonly Json[]).every(isTokenId));
    const several = areIds || list.every((one) => typeof one === 'string');
    if (several) return list as readonly Prompt[];
  }
  complainOfPrompt(fields, prompt);
  return [];
}

const isTokenId = (value: Json): boolean => Number.isInteger(value) && (value as number) >= 0;

/** One complaint for each form that a prompt may have, as pydantic lists them for a union. */
function complainOfPrompt(fields: Fields, prompt: Json): void {
  const list = Array.isArray(prompt) ? (prompt as readonly Json[]) : null;
  const wrong = list?.findIndex((one) => !isTokenId(one)) ?? 0;
  const input = list === null ? prompt : list[wrong]!;
  const name = list === null ? 'prompt' : `prompt.${wrong}`;
  const isNegative = typeof input === 'number' && input < 0;
  const complain = (type: string, at: string, msg: string, what: Json): void =>
    fields.complain({ type, name: at, msg: `Input should be ${msg}`, input: what });
  if (isNegative) {
    const msg = 'Input should be greater than or equal to 0';
    fields.complain({ type: 'greater_than_equal', name, msg, input, ctx: "{'ge': 0}" });
  } else
    complain(
      list === null ? 'list_type' : 'int_type',
      name,
      list === null ? 'a valid list' : 'a valid integer',
      input,
    );
  complain('list_type', name, 'a valid list', input);
  complain('string_type', 'prompt', 'a valid string', prompt);
  complain(
    list === null ? 'list_type' : 'string_type',
    name,
    list === null ? 'a valid list' : 'a valid string',
    input,
  );
}

function idsOf(api: Api, prompt: Prompt): readonly number[] {
  const { contextTokens } = api.settings;
  const ofText = typeof prompt === 'string';
  const ids = ofText ? tokenize(api, prompt) : prompt;
  if (ids.length === 0)
    throw badParameter('prompt', 'Either prompt or prompt_embeds must be provided and non-empty.');
  verifyPromptLength({ promptTokens: ids.length, contextTokens, ofText });
  verifyTokenIds(ids);
  return ids;
}

/** What is written for the outputs of a generation, chunk by chunk or at once. */
class CompletionWriter {
  readonly #api: Api;
  readonly #request: CompletionRequest;
  readonly #head: object;
  readonly #fingerprint: string;
  /** Per choice: tokens sent, and where the next token begins in the text. */
  readonly #sent = new Map<number, number>();
  readonly #offsets = new Map<number, number>();

  constructor(api: Api, request: CompletionRequest, head: object) {
    this.#api = api;
    this.#request = request;
    this.#head = head;
    this.#fingerprint = fingerprintOf(api);
  }

  chunks(outputs: readonly ChoiceOutput[]): readonly object[] {
    return outputs.map((output) => this.#chunk(output)).filter((chunk) => chunk !== null);
  }

  #chunk(output: ChoiceOutput): object | null {
    const { delivery, echo } = this.#request;
    const { index, tokenIds, finish } = output;
    const before = this.#sent.get(index) ?? 0;
    const isFirst = before === 0;
    // A request that was turned away during a drain: its abort is never shown.
    if (isFirst && tokenIds.length === 0) return null;
    const promptIds = this.#promptIdsOf(index);
    this.#sent.set(index, before + tokenIds.length);
    const choice = {
      index,
      text: this.#text(output, isFirst),
      logprobs: this.#logprobs(output, isFirst),
      finish_reason: finish?.reason ?? null,
      stop_reason: finish?.stopReason ?? null,
      prompt_token_ids: isFirst && (delivery.returnsIds || echo) ? promptIds : null,
      token_ids: delivery.returnsIds ? tokenIds : null,
    };
    const usage = usageOf(promptIds.length, before + tokenIds.length);
    const isStamped = finish !== null && !delivery.includesUsage;
    return {
      ...this.#head,
      choices: [choice],
      ...(delivery.usageInEveryChunk ? { usage } : {}),
      ...(isStamped ? { system_fingerprint: this.#fingerprint } : {}),
    };
  }

  /** The last chunk, where one was asked for. */
  usageChunk(): object | null {
    const { delivery } = this.#request;
    if (!delivery.includesUsage) return null;
    const completion = [...this.#sent.values()].reduce((sum, tokens) => sum + tokens, 0);
    const usage = usageOf(this.#promptTokens(), completion);
    return { ...this.#head, choices: [], usage, system_fingerprint: this.#fingerprint };
  }

  whole(choices: readonly WholeChoice[]): object {
    const { delivery } = this.#request;
    const completion = choices.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0);
    const cached = choices.reduce((sum, { cachedTokens }) => sum + cachedTokens, 0);
    return {
      ...this.#head,
      choices: choices.map((choice) => ({
        index: choice.index,
        text: this.#text(choice, true),
        logprobs: this.#logprobs(choice, true),
        finish_reason: choice.finish.reason,
        stop_reason: choice.finish.stopReason,
        token_ids: delivery.returnsIds ? choice.tokenIds : null,
        prompt_logprobs: null,
        prompt_token_ids: delivery.returnsIds ? this.#promptIdsOf(choice.index) : null,
        routed_experts: null,
      })),
      service_tier: null,
      system_fingerprint: this.#fingerprint,
      usage: fullUsage(this.#api, usageOf(this.#promptTokens(), completion), cached),
      kv_transfer_params: null,
      ec_transfer_params: null,
      metrics: null,
    };
  }

  /** A prompt that is asked for as ids is not repeated as text. */
  #text({ index, text }: ChoiceOutput, isFirst: boolean): string {
    const { echo, onlyEcho, delivery } = this.#request;
    if (!echo || !isFirst) return text;
    const prompt = delivery.returnsIds ? '' : decode(this.#promptIdsOf(index), { skipSpecial: true });
    return onlyEcho ? prompt : prompt + text;
  }

  #logprobs({ index, likelihoods, tokenIds }: ChoiceOutput, isFirst: boolean): object | null {
    const { logprobs: count, echo, onlyEcho, delivery } = this.#request;
    if (count === null) return null;
    const output = likelihoods.map((likelihood, i): Scored => ({ id: tokenIds[i]!, likelihood }));
    const prompt = echo && isFirst ? scorePrompt(this.#promptIdsOf(index), count) : [];
    const { body, nextOffset } = completionLogprobs(onlyEcho ? prompt : [...prompt, ...output], {
      offset: this.#offsets.get(index) ?? 0,
      count,
      byId: delivery.namesTokensById,
    });
    this.#offsets.set(index, nextOffset);
    return body;
  }

  #promptIdsOf(index: number): readonly number[] {
    return this.#request.promptIds[Math.floor(index / this.#request.sampling.n)]!;
  }

  #promptTokens(): number {
    return this.#request.promptIds.reduce((sum, ids) => sum + ids.length, 0);
  }
}
