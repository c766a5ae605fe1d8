/**
 * What a simulated engine says to a request: the tokens of the built-in simulated model, where each follows from all ids
 * before it, in vLLM's chunks. Whoever continues an answer from a wrong, missing or doubled id gets another answer.
 */
import { Choice } from '../../../src/engines/simulated/generation.ts';
import {
  candidatesAt,
  contextOf,
  extend,
  noiseOf,
  pick,
  type Context,
} from '../../../src/engines/simulated/model.ts';
import { encode } from '../../../src/engines/simulated/vocabulary.ts';
import type { LegRequest } from '../../../src/stream/continuation.ts';

export const model = 'simulated';
/** Below it no answer ends by itself, and none is asked to be longer. */
export const contextTokens = 500;

export type Body = {
  readonly prompt?: string | readonly number[];
  readonly messages?: readonly { readonly content: string }[];
  readonly max_tokens?: number;
  readonly max_completion_tokens?: number;
  readonly min_tokens?: number;
  readonly stop?: string | readonly string[];
  readonly include_stop_str_in_output?: boolean;
  readonly return_token_ids?: boolean;
  readonly stream?: boolean;
  readonly stream_options?: { readonly include_usage?: boolean };
  readonly seed?: number;
  readonly temperature?: number;
  /** More than one: those of a client, each of which engines are asked for by itself. */
  readonly n?: number;
};

const plainSampling = {
  ...{ n: 1, topP: null, topK: 0, minP: null, stopTokenIds: [], ignoreEos: false, skipSpecial: true },
  ...{ presencePenalty: 0, frequencyPenalty: 0, repetitionPenalty: 1, logitBias: [] },
  ...{ allowed: null, forced: null },
};

export class Answer {
  readonly promptIds: readonly number[];
  /** Tokens made so far. */
  made = 0;
  readonly #chat: boolean;
  readonly #body: Body;
  readonly #head: object;
  readonly #choice: Choice;
  readonly #seed: number | null;
  readonly #maxTokens: number;
  #context: Context;
  #begun = false;

  constructor(path: LegRequest['path'], body: Body, id: string) {
    this.#chat = path === '/v1/chat/completions';
    this.#body = body;
    const { prompt, messages = [], stop = [] } = body;
    const text = typeof prompt === 'string' ? prompt : messages.map(({ content }) => content).join('\n');
    this.promptIds = typeof prompt === 'object' ? prompt : encode(text, contextTokens);
    const room = contextTokens - this.promptIds.length;
    const asked = body.max_completion_tokens ?? body.max_tokens ?? (this.#chat ? room : 16);
    this.#maxTokens = Math.min(asked, room);
    this.#seed = body.temperature === 0 ? null : (body.seed ?? null);
    const stops = typeof stop === 'string' ? [stop] : stop;
    const { min_tokens: minTokens = 0, include_stop_str_in_output: includeStop = false } = body;
    const sampling = {
      ...{ ...plainSampling, temperature: body.temperature ?? 1, seed: this.#seed },
      ...{ minTokens, stop: stops, includeStop },
    };
    const { promptIds } = this;
    const request = { index: 0, promptIds, maxTokens: this.#maxTokens, sampling, logprobs: null };
    this.#choice = new Choice(request, 0);
    this.#context = contextOf(this.promptIds);
    const object = this.#chat ? 'chat.completion.chunk' : 'text_completion';
    this.#head = { id, object, created: 1_795_000_000, model };
  }

  get isFinished(): boolean {
    return this.#choice.isFinished;
  }

  /** Makes so many more tokens, and returns the events that tell of them. */
  next(tokens: number): string[] {
    for (let i = 0; i < tokens && !this.isFinished; i++) this.#make();
    const events: object[] = this.#begun || !this.#chat ? [] : [this.#role()];
    const output = this.#choice.take();
    if (output !== null) events.push(this.#chunk(output));
    this.#begun = true;
    if (this.isFinished && this.#body.stream_options?.include_usage === true) events.push(this.#usage());
    return events.map((event) => JSON.stringify(event));
  }

  #make(): void {
    const draw = { seed: this.#seed, source: 'position' as const, drawn: this.made };
    const id = pick(candidatesAt(this.#context), noiseOf(this.#context, draw));
    this.#context = extend(this.#context, id);
    this.made++;
    this.#choice.push(id, this.made >= this.#maxTokens ? { reason: 'length', stopReason: null } : null);
  }

  #role(): object {
    const delta = { role: 'assistant', content: '' };
    const choices = [{ index: 0, delta, logprobs: null, finish_reason: null }];
    return { ...this.#head, choices, prompt_token_ids: this.#shownPrompt(), prompt_text: null };
  }

  #chunk({ text, tokenIds, finish }: NonNullable<ReturnType<Choice['take']>>): object {
    const said = this.#chat
      ? { delta: { content: text } }
      : { text, prompt_token_ids: this.#begun ? null : this.#shownPrompt() };
    const choice = {
      ...{ index: 0, ...said, logprobs: null },
      ...{ finish_reason: finish?.reason ?? null, stop_reason: finish?.stopReason ?? null },
      token_ids: this.#body.return_token_ids === true ? tokenIds : null,
    };
    return { ...this.#head, choices: [choice] };
  }

  #usage(): object {
    const [prompt, completion] = [this.promptIds.length, this.made];
    const usage = {
      prompt_tokens: prompt,
      total_tokens: prompt + completion,
      completion_tokens: completion,
    };
    return { ...this.#head, choices: [], usage };
  }

  #shownPrompt(): readonly number[] | null {
    return this.#body.return_token_ids === true ? this.promptIds : null;
  }
}

export type Expected = {
  readonly text: string;
  readonly ids: readonly number[];
  readonly finish: string;
  readonly promptTokens: number;
};

/** The answer of an engine that nothing happens to. */
export function expected(path: LegRequest['path'], body: Body): Expected {
  const answer = new Answer(path, { ...body, return_token_ids: true, stream_options: {} }, 'expected');
  const choices = answer.next(contextTokens).flatMap(choicesIn);
  return {
    text: choices.map(textOf).join(''),
    ids: choices.flatMap(({ token_ids }) => token_ids ?? []),
    finish: choices.at(-1)?.finish_reason ?? '',
    promptTokens: answer.promptIds.length,
  };
}

/** Of each choice, which draws by a seed of its own. */
export const expectedOf = (path: LegRequest['path'], { n = 1, ...body }: Body): readonly Expected[] =>
  Array.from({ length: n }, (_, choice) =>
    expected(path, { ...body, ...(body.seed === undefined ? {} : { seed: body.seed + choice }) }),
  );

export type ToldChoice = {
  readonly index?: number;
  readonly text?: string;
  readonly delta?: { readonly content?: string };
  readonly message?: { readonly content: string };
  readonly token_ids?: readonly number[] | null;
  readonly finish_reason: string | null;
};

const choicesIn = (event: string): readonly ToldChoice[] =>
  (JSON.parse(event) as { choices: readonly ToldChoice[] }).choices;

export const textOf = ({ text, delta, message }: ToldChoice): string =>
  text ?? delta?.content ?? message?.content ?? '';
