/**
 * What a client asked for, and how its answer goes on when the engine that gives it is lost. `ids`: plain text, which
 * goes on anywhere from prompt and generated ids. `derender`: a chat whose calls the engine puts together; it goes on from
 * ids as well, by render, generate and derender, which engines must have. `replay`: whatever an engine says a second time just so, because each
 * token is the likeliest or drawn with a seed; it is asked for again and compared. `whole`: everything else, passed on
 * untouched and repeated as a whole while nothing of the answer was delivered, which is for ever where it is not
 * streamed.
 *
 * Where engines draw by position, an unseeded request is given a seed, so that its answer can be told again. What we
 * do not understand is `whole` too: the engine is the one to refuse it, in its own words.
 */
import type { Ability } from '../std/ability.ts';
import { isObject, withFields, type Json } from '../std/json.ts';
import type { Endpoint } from './chunk.ts';
import type { Named } from './answer.ts';
import { absent, hasAutoTools, isInt, obstacleIn, stopsOf, type Obstacle } from './obstacles.ts';

/** How tokens are chosen. `free`: at random, by no seed of the client's, so that any true sample is an answer. */
type Draws = 'greedy' | 'seeded' | 'free';

export type PlainRequest = {
  readonly way: 'ids';
  readonly endpoint: Endpoint;
  readonly model: string;
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
  readonly wants: Wants;
  /** Of a chat: its engine shows special tokens, whatever was asked. */
  readonly showsSpecials: boolean;
  /** Of a chat, whose answer this is. */
  readonly role: string;
  /** As the answer is named from its beginning; null: as the engine names it that says something first. */
  readonly named: Named | null;
  /** The same, for when the answer turns out to carry reasoning; null: then it cannot be continued from there on. */
  readonly parsed: ParsedRequest | null;
  /** The same, for when the answer turns out to be no plain text before anything of it was delivered. */
  readonly untouched: UntouchedRequest;
};

type Wants = { readonly usage: boolean; readonly continuousUsage: boolean; readonly tokenIds: boolean };

export type ParsedRequest = {
  readonly way: 'derender';
  readonly endpoint: 'chat';
  readonly model: string;
  readonly body: Json;
  readonly raw: string;
  readonly streamed: true;
  readonly minTokens: number;
  readonly frequencyPenalty: number;
  readonly draws: Draws;
  readonly wants: Wants;
  readonly role: string;
};

type Because = Obstacle | 'context' | 'generator' | 'foreign';

export type ReplayRequest = {
  readonly way: 'replay';
  readonly endpoint: Endpoint;
  readonly model: string;
  /** As the engine gets it. */
  readonly raw: string;
  readonly streamed: true;
  readonly because: Because;
  /** How many answers are given side by side. */
  readonly choices: number;
  readonly wantsUsage: boolean;
};

export type WholeRequest = {
  readonly way: 'whole';
  readonly endpoint: Endpoint;
  readonly model: string;
  readonly raw: string;
  readonly streamed: boolean;
  readonly because: Because;
};

type UntouchedRequest = ReplayRequest | WholeRequest;
export type GenerationRequest = PlainRequest | ParsedRequest | UntouchedRequest;

/** Several choices, each of which is asked for by itself and goes on from its own ids. */
export type ApartRequest = {
  readonly way: 'apart';
  readonly endpoint: Endpoint;
  readonly model: string;
  readonly streamed: boolean;
  readonly wantsUsage: boolean;
  readonly parts: readonly (PlainRequest | ParsedRequest)[];
};

/** What one answer is asked for by. */
export type AnswerRequest = GenerationRequest | ApartRequest;

/** vLLM's default for /v1/completions without max_tokens; chat has none and fills the context. */
const completionTokensDefault = 16;

/** By it vLLM means none, as some programs do that always send one. */
const noSeed = -1;

/** What is known of the engines that serve the model, and the seed for a request that has none. */
export type Engines = {
  /** Prompt and answer together, tokens; null: not known. */
  readonly maxModelLen: number | null;
  /** What all of them can do. */
  readonly ability: Ability;
  /** For a request that draws without one, where they draw by position. */
  readonly seed: number;
};

export type Sent = { readonly body: Json; readonly raw: string };

/** The same with these fields, as it is read and as an engine is asked: neither may know of what the other does not. */
export const sentWith = ({ body, raw }: Sent, fields: Json): Sent => ({
  body: { ...body, ...fields },
  raw: withFields(raw, fields),
});

export function readRequest(
  endpoint: Endpoint,
  sent: Sent,
  engines: Engines,
  named: Named | null,
): GenerationRequest {
  const { maxModelLen, ability } = engines;
  const seeded = withSeed(sent, engines);
  const { body } = seeded;
  const draws = drawsOf(sent.body);
  const drawsOn = draws !== 'seeded' || ability.keyedByPosition;
  const parsed = drawsOn && ability.scaleOut ? parsedRequest(endpoint, seeded, { draws, ability }) : null;
  if (parsed !== null && hasAutoTools(body)) return parsed;
  const because = obstacleIn(endpoint, body, ability);
  if (because !== null) return untouched(endpoint, seeded, because);
  if (maxTokensOf(endpoint, body) === null && maxModelLen === null)
    return untouched(endpoint, seeded, 'context');
  if (!drawsOn) return untouched(endpoint, seeded, 'generator');
  return {
    way: 'ids',
    endpoint,
    model: String(body['model']),
    body,
    streamed: body['stream'] === true,
    stops: stopsOf(body['stop']),
    includeStop: body['include_stop_str_in_output'] === true,
    minTokens: isInt(body['min_tokens']) ? body['min_tokens'] : 0,
    maxTokens: maxTokensOf(endpoint, body),
    maxModelLen,
    frequencyPenalty: Number(body['frequency_penalty'] ?? 0),
    draws,
    wants: wantsOf(body),
    showsSpecials: endpoint === 'chat' && ability.showsSpecials,
    role: roleOf(body),
    named,
    parsed,
    untouched: untouched(endpoint, seeded, 'foreign'),
  };
}

/** null: something besides tools stands in the way, or stop strings, which an engine finds only in what it said itself. */
function parsedRequest(
  endpoint: Endpoint,
  { body, raw }: Sent,
  { draws, ability }: { readonly draws: Draws; readonly ability: Ability },
): ParsedRequest | null {
  if (endpoint !== 'chat' || body['stream'] !== true) return null;
  const stops = stopsOf(body['stop']).length > 0 || body['include_stop_str_in_output'] === true;
  if (stops || obstacleIn(endpoint, { ...body, tools: null }, ability) !== null) return null;
  return {
    ...{ way: 'derender', endpoint, model: String(body['model']), body, raw, streamed: true },
    minTokens: isInt(body['min_tokens']) ? body['min_tokens'] : 0,
    frequencyPenalty: Number(body['frequency_penalty'] ?? 0),
    draws,
    wants: wantsOf(body),
    role: roleOf(body),
  };
}

/** Where no turn is opened, the last one goes on, whoever has it. */
function roleOf({ add_generation_prompt: opensTurn, messages }: Json): string {
  const last: unknown = Array.isArray(messages) ? messages.at(-1) : null;
  const isLast = opensTurn === false && isObject(last) && typeof last['role'] === 'string';
  return isLast ? String(last['role']) : 'assistant';
}

function wantsOf(body: Json): Wants {
  const options = optionsIn(body);
  const usage = options['include_usage'] === true;
  return {
    usage,
    continuousUsage: usage && options['continuous_usage_stats'] === true,
    tokenIds: body['return_token_ids'] === true,
  };
}

/** Only a request that draws: one of the likeliest tokens needs no seed, and its engines decide faster without. */
function withSeed(sent: Sent, { ability, seed }: Engines): Sent {
  if (!ability.keyedByPosition || drawsOf(sent.body) !== 'free') return sent;
  return sentWith(sent, { seed });
}

function untouched(endpoint: Endpoint, { body, raw }: Sent, because: Because): UntouchedRequest {
  const model = String(body['model']);
  const streamed = body['stream'] === true;
  const isToldAgain = drawsOf(body) !== 'free' && because !== 'malformed';
  if (!streamed || !isToldAgain) return { way: 'whole', endpoint, model, raw, streamed, because };
  const wantsUsage = optionsIn(body)['include_usage'] === true;
  const choices = choicesIn(body) * promptsIn(endpoint, body['prompt']);
  return { way: 'replay', endpoint, model, raw, streamed, because, choices, wantsUsage };
}

const optionsIn = (body: Json): Json => (isObject(body['stream_options']) ? body['stream_options'] : {});

/** Whoever asks for none is refused by an engine: who has all of them already needs none. */
const choicesIn = ({ n }: Json): number => (isInt(n) ? Math.max(1, n) : 1);

const promptsIn = (endpoint: Endpoint, prompt: unknown): number =>
  endpoint === 'completions' && Array.isArray(prompt) && !prompt.every(isInt) ? prompt.length : 1;

const drawsOf = ({ temperature, top_k: topK, seed }: Json): Draws => {
  if (temperature === 0 || topK === 1) return 'greedy';
  return absent(seed) || seed === noSeed ? 'free' : 'seeded';
};

function maxTokensOf(endpoint: Endpoint, body: Json): number | null {
  const asked =
    endpoint === 'chat' ? (body['max_completion_tokens'] ?? body['max_tokens']) : body['max_tokens'];
  if (isInt(asked)) return asked;
  return endpoint === 'chat' ? null : completionTokensDefault;
}
