/** POST /inference/v1/generate and /inference/v1/abort_requests: ids in, ids out, no templates and no parsers. */
import { answerStream, answerWhole, type WholeChoice } from './answering.ts';
import { nowSeconds, servedName, usageOf, verifyModel, type Api, type Usage } from './api.ts';
import { Fields, type JsonObject } from './body.ts';
import type { Exchange } from './exchange.ts';
import type { ChoiceOutput, ChoiceRequest } from './generation.ts';
import { chatLogprobs, tokenLogprobs } from './logprobs.ts';
import { badRequest } from './refusal.ts';
import {
  noGenerationConfig,
  readSampling,
  verifyLogprobs,
  verifySampling,
  verifyTokenIds,
  type Sampling,
} from './sampling.ts';

type GenerateRequest = {
  readonly requestId: string | null;
  readonly promptIds: readonly number[];
  readonly sampling: Sampling;
  readonly maxTokens: number;
  readonly logprobs: number | null;
  readonly withText: boolean;
  readonly returnsIds: boolean;
  readonly stream: boolean;
  readonly includesUsage: boolean;
  readonly usageInEveryChunk: boolean;
};

export async function generate(api: Api, exchange: Exchange): Promise<void> {
  const request = readGenerate(api, await exchange.json());
  api.engine.verifyRoom(request.sampling.n);
  const { sampling, promptIds, maxTokens, logprobs } = request;
  const requests = Array.from({ length: sampling.n }, (_, index): ChoiceRequest => {
    const seed = sampling.seed === null ? null : sampling.seed + index;
    return { index, promptIds, maxTokens, sampling: { ...sampling, seed }, logprobs };
  });
  const id = `generate-tokens-${exchange.requestId(request.requestId)}`;
  const writer = new GenerateWriter(api, request, id);
  const choices = { requestId: id, requests };
  if (request.stream) answerStream(api, exchange, choices, writer);
  else answerWhole(api, exchange, choices, (whole) => writer.whole(whole));
}

/** Stops with `finish_reason: abort`; ids that nobody has are passed over. */
export async function abortRequests(api: Api, exchange: Exchange): Promise<void> {
  const fields = new Fields(await exchange.json());
  const ids = fields.texts('request_ids');
  fields.verify();
  api.engine.abortRequests(ids);
  exchange.respond(200, null);
}

function readGenerate(api: Api, body: JsonObject): GenerateRequest {
  const fields = new Fields(body);
  const promptIds = readTokenIds(fields);
  if (fields.require('sampling_params') === null) fields.verify();
  const given = fields.object('sampling_params') ?? new Fields({});
  // These are sampling parameters as such: what they leave out nobody fills in.
  const sampling = readSampling(given, noGenerationConfig);
  const asked = given.integer('max_tokens');
  const logprobs = given.integer('logprobs');
  const options = fields.object('stream_options');
  const includesUsage = options?.boolean('include_usage') ?? false;
  const request = {
    requestId: fields.text('request_id'),
    promptIds,
    sampling,
    logprobs,
    withText: fields.text('output_mode') === 'text',
    returnsIds: fields.boolean('return_token_ids') ?? false,
    stream: fields.boolean('stream') ?? false,
    includesUsage,
    usageInEveryChunk: includesUsage && (options?.boolean('continuous_usage_stats') ?? false),
  };
  fields.verify();
  verifyModel(api, body);
  verifyTokenIds(promptIds);
  verifyLogprobs('logprobs', logprobs);
  verifySampling(sampling);
  const { contextTokens } = api.settings;
  if (promptIds.length >= contextTokens)
    throw badRequest(
      `Input length (${promptIds.length}) exceeds model's maximum context length (${contextTokens}).`,
    );
  const room = contextTokens - promptIds.length;
  if (asked !== null && asked < 1) throw badRequest(`max_tokens must be at least 1, got ${asked}.`);
  return { ...request, maxTokens: Math.min(asked ?? room, room) };
}

function readTokenIds(fields: Fields): readonly number[] {
  if (fields.require('token_ids') === null) return [];
  const ids = fields.integers('token_ids') ?? [];
  const raw = fields.raw('token_ids');
  if (Array.isArray(raw) && raw.length === 0) {
    const msg = 'List should have at least 1 item after validation, not 0';
    const ctx = "{'field_type': 'List', 'min_length': 1, 'actual_length': 0}";
    fields.complain({ type: 'too_short', name: 'token_ids', msg, input: [], ctx });
  }
  return ids;
}

class GenerateWriter {
  readonly #api: Api;
  readonly #request: GenerateRequest;
  readonly #id: string;
  readonly #created = nowSeconds();
  /** Per choice: tokens sent. */
  readonly #sent = new Map<number, number>();
  #begun = false;

  constructor(api: Api, request: GenerateRequest, id: string) {
    this.#api = api;
    this.#request = request;
    this.#id = id;
  }

  chunks(outputs: readonly ChoiceOutput[]): readonly object[] {
    return outputs.map((output) => this.#chunk(output)).filter((chunk) => chunk !== null);
  }

  #chunk(output: ChoiceOutput): object | null {
    const { index, tokenIds } = output;
    const { promptIds, returnsIds, usageInEveryChunk } = this.#request;
    const sent = (this.#sent.get(index) ?? 0) + tokenIds.length;
    if (sent === 0) return null;
    this.#sent.set(index, sent);
    const showsPrompt = returnsIds && !this.#begun;
    this.#begun = true;
    return {
      request_id: this.#id,
      usage: usageInEveryChunk ? detailed(usageOf(promptIds.length, sent)) : null,
      ...(showsPrompt ? { prompt_token_ids: promptIds } : {}),
      output_mode: this.#mode(),
      choices: [this.#choice(output, sent)],
    };
  }

  #choice({ index, text, tokenIds, likelihoods, finish }: ChoiceOutput, tokens: number): object {
    const { withText, logprobs } = this.#request;
    return {
      index,
      finish_reason: finish?.reason ?? null,
      stop_reason: finish?.stopReason ?? null,
      token_ids: tokenIds,
      routed_experts: null,
      sampling_mask: null,
      weight_versions: finish === null ? null : [{ version: 'default', start: 0, end: tokens }],
      ...(withText ? { text } : {}),
      logprobs: logprobs === null ? null : this.#logprobs(likelihoods, logprobs),
    };
  }

  #logprobs(likelihoods: ChoiceOutput['likelihoods'], count: number): object {
    return this.#request.withText
      ? chatLogprobs(likelihoods, { count, byId: false })
      : tokenLogprobs(likelihoods, count);
  }

  usageChunk(): object | null {
    if (!this.#request.includesUsage) return null;
    const completion = [...this.#sent.values()].reduce((sum, tokens) => sum + tokens, 0);
    const usage = usageOf(this.#request.promptIds.length, completion);
    const details = this.#api.settings.promptTokenDetails
      ? { prompt_tokens_details: { cached_tokens: 0 } }
      : {};
    return { request_id: this.#id, usage: { ...usage, ...details }, output_mode: this.#mode(), choices: [] };
  }

  whole(choices: readonly WholeChoice[]): object {
    const { promptIds, returnsIds } = this.#request;
    const completion = choices.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0);
    const cachedTokens = choices[0]?.cachedTokens ?? 0;
    const details = this.#api.settings.promptTokenDetails
      ? { cached_tokens: cachedTokens, created_cache_tokens: null, multimodal_tokens: null }
      : null;
    return {
      request_id: this.#id,
      model: servedName(this.#api),
      created: this.#created,
      usage: { ...detailed(usageOf(promptIds.length, completion)), prompt_tokens_details: details },
      prompt_logprobs: null,
      prompt_token_id_logprobs: null,
      prompt_token_ids: returnsIds ? promptIds : null,
      mm_placeholders: null,
      metrics: null,
      kv_transfer_params: null,
      ec_transfer_params: null,
      output_mode: this.#mode(),
      choices: choices.map((choice) => this.#choice(choice, choice.tokenIds.length)),
    };
  }

  #mode(): string {
    return this.#request.withText ? 'text' : 'tokens';
  }
}

const detailed = (usage: Usage): object => ({
  ...usage,
  prompt_tokens_details: null,
  completion_tokens_details: null,
});
