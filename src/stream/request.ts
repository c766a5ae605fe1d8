/**
 * What a client asked for, and whether its answer can be continued from token ids. `ids`: plain text, which goes on
 * anywhere from prompt and generated ids. `whole`: everything else, passed on untouched and repeated as a whole while
 * nothing of the answer was delivered. Which obstacle sends a request to `whole` stands in one table below.
 *
 * A request that we do not understand is `whole` too: the engine is the one to refuse it, in its own words.
 */
import type { Endpoint, Json } from './chunk.ts';

export type PlainRequest = {
  readonly way: 'ids';
  readonly endpoint: Endpoint;
  readonly model: string;
  /** The body as it came, for when it has to go out untouched after all. */
  readonly raw: string;
  readonly body: Json;
  readonly streamed: boolean;
  readonly stops: readonly string[];
  readonly includeStop: boolean;
  readonly minTokens: number;
  /** Null: as many as fit into the model's context. */
  readonly maxTokens: number | null;
  /** Prompt and answer together, tokens; null: not known, and then maxTokens is. */
  readonly maxModelLen: number | null;
  readonly frequencyPenalty: number;
  readonly draws: Draws;
  readonly wants: { readonly usage: boolean; readonly continuousUsage: boolean; readonly tokenIds: boolean };
};

/** How tokens are chosen. `free`: at random, by no seed of the client's, so that any true sample is an answer. */
export type Draws = 'greedy' | 'seeded' | 'free';

export type WholeRequest = {
  readonly way: 'whole';
  readonly endpoint: Endpoint;
  readonly model: string;
  readonly raw: string;
  readonly streamed: boolean;
  readonly because: Obstacle | 'foreign';
};

export type GenerationRequest = PlainRequest | WholeRequest;

/** vLLM's default for /v1/completions without max_tokens; chat has none and fills the context. */
const completionTokensDefault = 16;

const absent = (value: unknown): boolean => value === undefined || value === null;
const empty = (value: unknown): boolean => absent(value) || (Array.isArray(value) && value.length === 0);
const isInt = (value: unknown): value is number => Number.isSafeInteger(value);
const isString = (value: unknown): value is string => typeof value === 'string';
const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const oneOrAbsent = (value: unknown): boolean => absent(value) || value === 1;
const zeroOrAbsent = (value: unknown): boolean => absent(value) || value === 0;

/** Each with what would go wrong if the answer were continued from its ids. */
const obstacles = {
  /** Several answers at once. */
  choices: (b) => !oneOrAbsent(b['n']) || !oneOrAbsent(b['best_of']) || b['use_beam_search'] === true,
  prompts: (b, endpoint) => endpoint === 'completions' && !isOnePrompt(b['prompt']),
  /** The markup of a call would come out as text. */
  tools: (b) => (!empty(b['tools']) && b['tool_choice'] !== 'none') || !empty(b['functions']),
  /** A grammar would start again at its root. */
  grammar: (b) =>
    !(
      absent(b['response_format']) ||
      (isObject(b['response_format']) && b['response_format']['type'] === 'text')
    ) ||
    !absent(b['structured_outputs']) ||
    Object.keys(b).some((name) => name.startsWith('guided_') && !absent(b[name])),
  logprobs: (b) =>
    !(absent(b['logprobs']) || b['logprobs'] === false) ||
    !absent(b['top_logprobs']) ||
    !absent(b['prompt_logprobs']),
  echo: (b) => !(absent(b['echo']) || b['echo'] === false) || !(absent(b['suffix']) || b['suffix'] === ''),
  /** Both count output tokens only; frequency can be made up for by logit_bias, but not next to repetition. */
  penalty: (b) =>
    !zeroOrAbsent(b['presence_penalty']) ||
    (!zeroOrAbsent(b['frequency_penalty']) && !oneOrAbsent(b['repetition_penalty'])),
  /** What the engine remembers of its own output, or of an input that ids do not carry. */
  memory: (b) =>
    ['bad_words', 'logits_processors', 'thinking_token_budget', 'repetition_detection'].some(
      (name) => !empty(b[name]),
    ) || ['kv_transfer_params', 'prompt_embeds', 'truncate_prompt_tokens'].some((name) => !absent(b[name])),
  media: (b, endpoint) => endpoint === 'chat' && !isTextOnly(b['messages']),
  /** JSON numbers beyond 2^53 do not survive being read and written again. */
  seed: (b) => !absent(b['seed']) && !isInt(b['seed']),
  malformed: (b) => !isWellFormed(b),
} as const satisfies Record<string, (body: Json, endpoint: Endpoint) => boolean>;

type Obstacle = keyof typeof obstacles | 'context';

export function readRequest(
  endpoint: Endpoint,
  sent: { readonly body: Json; readonly raw: string },
  maxModelLen: number | null,
): GenerationRequest {
  const { body, raw } = sent;
  const model = String(body['model']);
  const streamed = body['stream'] === true;
  const because = obstacleIn(endpoint, body, maxModelLen);
  if (because !== null) return { way: 'whole', endpoint, model, raw, streamed, because };
  const options = isObject(body['stream_options']) ? body['stream_options'] : {};
  return {
    way: 'ids',
    endpoint,
    model,
    raw,
    body,
    streamed,
    stops: stopsOf(body['stop']),
    includeStop: body['include_stop_str_in_output'] === true,
    minTokens: isInt(body['min_tokens']) ? body['min_tokens'] : 0,
    maxTokens: maxTokensOf(endpoint, body),
    maxModelLen,
    frequencyPenalty: Number(body['frequency_penalty'] ?? 0),
    draws: drawsOf(body),
    wants: {
      usage: options['include_usage'] === true,
      continuousUsage: options['include_usage'] === true && options['continuous_usage_stats'] === true,
      tokenIds: body['return_token_ids'] === true,
    },
  };
}

function obstacleIn(endpoint: Endpoint, body: Json, maxModelLen: number | null): Obstacle | null {
  for (const [name, stands] of Object.entries(obstacles)) {
    if (stands(body, endpoint)) return name as Obstacle;
  }
  return maxTokensOf(endpoint, body) === null && maxModelLen === null ? 'context' : null;
}

const drawsOf = (body: Json): Draws =>
  body['temperature'] === 0 || body['top_k'] === 1 ? 'greedy' : absent(body['seed']) ? 'free' : 'seeded';

function maxTokensOf(endpoint: Endpoint, body: Json): number | null {
  const asked =
    endpoint === 'chat' ? (body['max_completion_tokens'] ?? body['max_tokens']) : body['max_tokens'];
  if (isInt(asked)) return asked;
  return endpoint === 'chat' ? null : completionTokensDefault;
}

const stopsOf = (stop: unknown): readonly string[] =>
  isString(stop) ? [stop] : Array.isArray(stop) ? stop.filter(isString) : [];

function isOnePrompt(prompt: unknown): boolean {
  if (isString(prompt)) return true;
  if (!Array.isArray(prompt) || prompt.length === 0) return false;
  if (prompt.every(isInt)) return true;
  const [only] = prompt as unknown[];
  return prompt.length === 1 && (isString(only) || (Array.isArray(only) && only.every(isInt)));
}

function isTextOnly(messages: unknown): boolean {
  if (!Array.isArray(messages)) return false;
  return messages.every((message) => {
    if (!isObject(message)) return false;
    const content = message['content'];
    if (absent(content) || isString(content)) return true;
    return Array.isArray(content) && content.every((part) => isObject(part) && part['type'] === 'text');
  });
}

/** Only the fields that we read ourselves: whether the others make sense, the engine says. */
function isWellFormed(b: Json): boolean {
  const isTruth = (value: unknown): boolean => absent(value) || typeof value === 'boolean';
  const isCount = (value: unknown): boolean => absent(value) || isInt(value);
  const stop = b['stop'];
  const options = b['stream_options'];
  const bias = b['logit_bias'];
  return (
    ['stream', 'return_token_ids', 'include_stop_str_in_output', 'skip_special_tokens'].every((n) =>
      isTruth(b[n]),
    ) &&
    ['max_tokens', 'max_completion_tokens', 'min_tokens'].every((n) => isCount(b[n])) &&
    (absent(stop) || isString(stop) || (Array.isArray(stop) && stop.every(isString))) &&
    !stopsOf(stop).includes('') &&
    (absent(b['frequency_penalty']) || typeof b['frequency_penalty'] === 'number') &&
    (absent(bias) || (isObject(bias) && Object.values(bias).every((value) => typeof value === 'number'))) &&
    (absent(options) || (isObject(options) && b['stream'] === true))
  );
}
