/** What a request asks of sampling: read from any of the three request forms, checked as vLLM's SamplingParams is. */
import type { Fields } from './body.ts';
import { badParameter, badRequest } from './refusal.ts';
import { encode, vocabularySize } from './vocabulary.ts';

export type Sampling = {
  readonly n: number;
  readonly temperature: number;
  /** Null: none given. */
  readonly seed: number | null;
  readonly topP: number | null;
  /** 0 or less: of all tokens. */
  readonly topK: number;
  readonly minP: number | null;
  readonly minTokens: number;
  readonly stop: readonly string[];
  readonly includeStop: boolean;
  readonly stopTokenIds: readonly number[];
  readonly ignoreEos: boolean;
  readonly skipSpecial: boolean;
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
  readonly repetitionPenalty: number;
  readonly logitBias: readonly (readonly [id: number, bias: number])[];
  readonly allowed: readonly number[] | null;
  readonly forced: readonly number[] | null;
};

/** So many alternatives may be asked for, as in vLLM's default. */
const logprobsMax = 20;

/** VLLM_MAX_N_SEQUENCES' default. */
const choicesMax = 16_384;

/** What the model's makers or its operator want where a request says nothing; null: neither do they. */
export type GenerationConfig = {
  readonly temperature: number | null;
  readonly topP: number | null;
  readonly topK: number | null;
  readonly minP: number | null;
  readonly presencePenalty: number | null;
  readonly frequencyPenalty: number | null;
  readonly repetitionPenalty: number | null;
};

export const noGenerationConfig: GenerationConfig = {
  ...{ temperature: null, topP: null, topK: null, minP: null },
  ...{ presencePenalty: null, frequencyPenalty: null, repetitionPenalty: null },
};

export function readSampling(fields: Fields, config: GenerationConfig): Sampling {
  return {
    n: fields.integer('n') ?? 1,
    temperature: fields.number('temperature') ?? config.temperature ?? 1,
    seed: seedOf(fields.integer('seed')),
    topP: fields.number('top_p') ?? config.topP,
    topK: fields.integer('top_k') ?? config.topK ?? 0,
    minP: fields.number('min_p') ?? config.minP,
    minTokens: fields.integer('min_tokens') ?? 0,
    stop: fields.texts('stop'),
    includeStop: fields.boolean('include_stop_str_in_output') ?? false,
    stopTokenIds: fields.integers('stop_token_ids') ?? [],
    ignoreEos: fields.boolean('ignore_eos') ?? false,
    skipSpecial: fields.boolean('skip_special_tokens') ?? true,
    presencePenalty: fields.number('presence_penalty') ?? config.presencePenalty ?? 0,
    frequencyPenalty: fields.number('frequency_penalty') ?? config.frequencyPenalty ?? 0,
    repetitionPenalty: fields.number('repetition_penalty') ?? config.repetitionPenalty ?? 1,
    logitBias: readLogitBias(fields.object('logit_bias'), fields.raw('logit_bias')),
    allowed: fields.integers('allowed_token_ids'),
    forced: readForced(fields.object('structured_outputs')),
  };
}

/** Of all seeds this one means none. */
const seedOf = (seed: number | null): number | null => (seed === -1 ? null : seed);

function readLogitBias(
  fields: Fields | null,
  raw: ReturnType<Fields['raw']>,
): readonly (readonly [number, number])[] {
  if (fields === null || raw === null) return [];
  return Object.keys(raw).map((key) => [Number(key), clamp(fields.number(key) ?? 0, 100)] as const);
}

const clamp = (value: number, bound: number): number => Math.min(bound, Math.max(-bound, value));

/**
 * Of the grammars only those whose language is one text, or a choice of texts: enough to force any token on the
 * engine, and to show that a grammar starts again in a continuation. Other grammars are not obeyed.
 */
function readForced(fields: Fields | null): readonly number[] | null {
  if (fields === null) return null;
  const regex = fields.text('regex');
  const literal =
    fields.texts('choice')[0] ?? (regex === null || /[\\^$.|?*+()[\]{}]/.test(regex) ? null : regex);
  return literal === null ? null : encode(literal, literal.length * 4);
}

export function verifySampling(sampling: Sampling): void {
  const { n, temperature, topP, minP, stop, stopTokenIds, presencePenalty, frequencyPenalty } = sampling;
  if (n < 1) throw badRequest(`n must be at least 1, got ${n}.`);
  if (n > choicesMax) throw badRequest(`n must be at most ${choicesMax}, got ${n}.`);
  if (Math.abs(presencePenalty) > 2)
    throw badRequest(`presence_penalty must be in [-2, 2], got ${float(presencePenalty)}.`);
  if (Math.abs(frequencyPenalty) > 2)
    throw badRequest(`frequency_penalty must be in [-2, 2], got ${float(frequencyPenalty)}.`);
  if (sampling.repetitionPenalty <= 0)
    throw badRequest(
      `repetition_penalty must be greater than zero, got ${float(sampling.repetitionPenalty)}.`,
    );
  if (temperature < 0) {
    const shown = float(temperature);
    throw badParameter('temperature', `temperature must be non-negative, got ${shown}.`, shown);
  }
  if (temperature > 2) {
    const shown = float(temperature);
    throw badParameter('temperature', `temperature must be in [0, 2], got ${shown}.`, shown);
  }
  if (topP !== null && !(topP > 0 && topP <= 1))
    throw badParameter('top_p', `top_p must be in (0, 1], got ${float(topP)}.`, float(topP));
  if (sampling.topK < -1) throw badRequest(`top_k must be 0 (disable), or at least 1, got ${sampling.topK}.`);
  if (minP !== null && !(minP >= 0 && minP <= 1))
    throw badRequest(`min_p must be in [0, 1], got ${float(minP)}.`);
  if (sampling.minTokens < 0)
    throw badRequest(`min_tokens must be greater than or equal to 0, got ${sampling.minTokens}.`);
  if (stop.includes('')) throw badRequest('stop cannot contain an empty string.');
  if (n > 1 && temperature === 0) throw badRequest(`n must be 1 when using greedy sampling, got ${n}.`);
  verifyIds(sampling, stopTokenIds);
}

function verifyIds({ logitBias, allowed }: Sampling, stopTokenIds: readonly number[]): void {
  const foreign = logitBias.map(([id]) => id).filter((id) => !isToken(id));
  if (foreign.length > 0) {
    const what = `token_id(s) [${foreign.join(', ')}] in logit_bias contain out-of-vocab token ids`;
    throw badParameter(
      'logit_bias',
      `${what}. Vocabulary size: ${vocabularySize}`,
      `[${foreign.join(', ')}]`,
    );
  }
  if (allowed?.length === 0) throw badRequest('allowed_token_ids is not None and empty!');
  if (allowed?.some((id) => !isToken(id)) === true)
    throw badRequest('allowed_token_ids contains out-of-vocab token id!');
  if (stopTokenIds.some((id) => !isToken(id)))
    throw badRequest('stop_token_ids contains out-of-vocab token id!');
}

const isToken = (id: number): boolean => Number.isInteger(id) && id >= 0 && id < vocabularySize;

export function verifyLogprobs(name: string, count: number | null): void {
  if (count !== null && count > logprobsMax) {
    const what = `Requested sample logprobs of ${count}, which is greater than max allowed: ${logprobsMax}`;
    throw badParameter(name, what, count);
  }
  if (count !== null && count < 0)
    throw badParameter(name, `\`${name}\` must be a non-negative value.`, count);
}

/** How many tokens may follow, once vLLM has had its say; the sum of prompt and answer is cut, not refused. */
export function resolveMaxTokens(asked: number | null, promptTokens: number, contextTokens: number): number {
  if (asked !== null && asked > contextTokens) {
    const what = `max_tokens=${asked} cannot be greater than max_model_len=${contextTokens}`;
    throw badParameter('max_tokens', `${what}. Please request fewer output tokens.`, asked);
  }
  const room = contextTokens - promptTokens;
  const tokens = Math.min(asked ?? room, room);
  if (tokens < 1) throw badParameter('max_tokens', `max_tokens must be at least 1, got ${tokens}.`, tokens);
  return tokens;
}

export function verifyPromptLength(options: {
  readonly promptTokens: number;
  readonly contextTokens: number;
  /** A text is read only until it is too long, so its whole length is not known. */
  readonly ofText: boolean;
}): void {
  const { promptTokens, contextTokens, ofText } = options;
  if (promptTokens <= contextTokens) return;
  const length = ofText ? contextTokens + 1 : promptTokens;
  const what =
    `This model's maximum context length is ${contextTokens} tokens. However, your prompt contains ` +
    `${ofText ? 'at least ' : ''}${length} input tokens, which exceeds this limit even without any output tokens. ` +
    'Please reduce the length of the input prompt.';
  throw badParameter('input_tokens', what, length);
}

export function verifyTokenIds(ids: readonly number[]): void {
  const foreign = ids.find((id) => !isToken(id));
  if (foreign !== undefined) throw badRequest(`Token id ${foreign} is out of vocabulary`);
}

/** As Python writes a float: 2 is `2.0`. */
const float = (value: number): string => (Number.isInteger(value) ? value.toFixed(1) : String(value));
