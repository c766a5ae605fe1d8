/**
 * Why the answer to a request cannot be continued from its token ids as plain text. One table; the first that stands
 * is the reason told. What becomes of such a request is not decided here.
 */
import type { Ability } from '../std/ability.ts';
import { isObject, type Json } from '../std/json.ts';
import type { Endpoint } from './chunk.ts';

export type Obstacle = keyof typeof obstacles;

export const absent = (value: unknown): boolean => value === undefined || value === null;
const empty = (value: unknown): boolean => absent(value) || (Array.isArray(value) && value.length === 0);
export const isInt = (value: unknown): value is number => Number.isSafeInteger(value);
const isString = (value: unknown): value is string => typeof value === 'string';
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
  /** Of a completion it is a number, as which vLLM reads `false` too. */
  logprobs: (b, endpoint) =>
    !(absent(b['logprobs']) || (endpoint === 'chat' && b['logprobs'] === false)) ||
    !absent(b['top_logprobs']) ||
    !absent(b['prompt_logprobs']),
  echo: (b) => !(absent(b['echo']) || b['echo'] === false) || !(absent(b['suffix']) || b['suffix'] === ''),
  /**
   * Both count output tokens only; frequency can be made up for by logit_bias, but not next to repetition. A request
   * that does not speak of that gets what the model's generation_config.json says (Qwen2.5: 1.05).
   */
  penalty: (b, _, { neutralPenalties }) =>
    !zeroOrAbsent(b['presence_penalty']) ||
    (!zeroOrAbsent(b['frequency_penalty']) &&
      (b['repetition_penalty'] ?? (neutralPenalties ? 1 : null)) !== 1),
  /** What the engine remembers of its own output, or of an input that ids do not carry. */
  memory: (b) =>
    ['bad_words', 'logits_processors', 'thinking_token_budget', 'repetition_detection'].some(
      (name) => !empty(b[name]),
    ) || ['prompt_embeds', 'truncate_prompt_tokens'].some((name) => !absent(b[name])),
  media: (b, endpoint) => endpoint === 'chat' && !isTextOnly(b['messages']),
  /** JSON numbers beyond 2^53 do not survive being read and written again. */
  seed: (b) => !absent(b['seed']) && !isInt(b['seed']),
  malformed: (b) => !isWellFormed(b),
} as const satisfies Record<string, Stands>;

type Stands = (body: Json, endpoint: Endpoint, ability: Ability) => boolean;
const inOrder = Object.entries(obstacles) as [Obstacle, Stands][];

/** null: none stands. */
export const obstacleIn = (endpoint: Endpoint, body: Json, ability: Ability): Obstacle | null =>
  inOrder.find(([, stands]) => stands(body, endpoint, ability))?.[0] ?? null;

export const stopsOf = (stop: unknown): readonly string[] =>
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

/** Tools that the model may use as it likes; `strict` ones, and those that it must use, bring a grammar. */
export function hasAutoTools(body: Json): boolean {
  const tools = body['tools'];
  if (!Array.isArray(tools) || tools.length === 0) return false;
  const choice = body['tool_choice'];
  const isFree = (tool: unknown): boolean =>
    isObject(tool) && !(isObject(tool['function']) && tool['function']['strict'] === true);
  return (absent(choice) || choice === 'auto') && tools.every(isFree);
}
