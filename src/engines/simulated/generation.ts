/**
 * One request's answer on its way: ids come from the engine, text goes to the client. As in vLLM a client that reads
 * slowly does not slow the engine: what has not been fetched is merged, so a chunk may carry several tokens.
 */
import { Detokenizer } from './detokenizer.ts';
import { contextOf, extend, likelihoods, type Context, type Likelihood } from './model.ts';
import type { Sampling } from './sampling.ts';
import type { FinishReason } from './scheduler.ts';

export type TokenLikelihood = {
  readonly chosen: Likelihood;
  readonly best: readonly Likelihood[];
  /** The ids just before, for the text of a token that completes a character. */
  readonly before: readonly number[];
};

/** `stopReason`: the stop string or stop token that ended it; null for the end of the turn and all else. */
export type Finish = { readonly reason: FinishReason; readonly stopReason: string | number | null };

export type ChoiceOutput = {
  readonly index: number;
  readonly text: string;
  readonly tokenIds: readonly number[];
  /** Empty where none were asked for. */
  readonly likelihoods: readonly TokenLikelihood[];
  readonly finish: Finish | null;
};

export type ChoiceRequest = {
  readonly index: number;
  readonly promptIds: readonly number[];
  readonly maxTokens: number;
  readonly sampling: Sampling;
  /** How many alternatives of each token are wanted; null: no likelihoods at all. */
  readonly logprobs: number | null;
};

/** Where a generation's outputs go. */
export type Consumer = {
  /** A stream's client has its 200 long before the first token; a whole answer waits for the last. */
  readonly kind: 'stream' | 'whole';
  /** False: the client is behind, ask again later. */
  isReady(): boolean;
  deliver(outputs: readonly ChoiceOutput[]): void;
  /** The engine is dead; nothing more will come. */
  fail(): void;
};

export class Choice {
  readonly request: ChoiceRequest;
  readonly sequenceId: number;
  readonly #detokenizer: Detokenizer;
  #context: Context | null;
  #before: readonly number[] = [];
  #tokenIds: number[] = [];
  #likelihoods: TokenLikelihood[] = [];
  #finish: Finish | null = null;
  #isNews = false;
  /** Tokens generated so far. */
  tokens = 0;
  /** Of the prompt, how many the engine had read before. */
  cachedTokens = 0;

  constructor(request: ChoiceRequest, sequenceId: number) {
    this.request = request;
    this.sequenceId = sequenceId;
    this.#detokenizer = new Detokenizer(request.promptIds, request.sampling);
    this.#context = request.logprobs === null ? null : contextOf(request.promptIds);
  }

  get isFinished(): boolean {
    return this.#finish !== null;
  }

  get finishReason(): FinishReason | null {
    return this.#finish?.reason ?? null;
  }

  /** Returns true when this token completed a stop string: the engine does not know and must be told. */
  push(id: number, ended: Finish | null): boolean {
    this.#isNews = true;
    this.tokens += 1;
    this.#tokenIds.push(id);
    this.#weigh(id);
    if (ended?.reason === 'stop' && !this.request.sampling.includeStop) this.#detokenizer.pushSilently();
    else {
      const stop = this.#detokenizer.push(id);
      if (stop !== null) {
        this.#finish = { reason: 'stop', stopReason: stop };
        return ended === null;
      }
    }
    this.#finish = ended;
    return false;
  }

  end(finish: Finish): void {
    this.#isNews = true;
    this.#finish = finish;
  }

  #weigh(id: number): void {
    const { logprobs } = this.request;
    if (this.#context === null || logprobs === null) return;
    this.#likelihoods.push({ ...likelihoods(this.#context, id, logprobs), before: this.#before });
    this.#context = extend(this.#context, id);
    this.#before = [...this.#before.slice(-3), id];
  }

  /** What has come since the last call; null when nothing has. */
  take(): ChoiceOutput | null {
    if (!this.#isNews) return null;
    const output: ChoiceOutput = {
      index: this.request.index,
      text: this.#detokenizer.take({ finished: this.isFinished }),
      tokenIds: this.#tokenIds,
      likelihoods: this.#likelihoods,
      finish: this.#finish,
    };
    this.#tokenIds = [];
    this.#likelihoods = [];
    this.#isNews = false;
    return output;
  }
}

export class Generation {
  /** By which a client may have it aborted. */
  readonly requestId: string;
  readonly choices: readonly Choice[];
  readonly consumer: Consumer;
  /** Nobody wants it any more, or nothing more comes. */
  closed = false;

  constructor(requestId: string, choices: readonly Choice[], consumer: Consumer) {
    this.requestId = requestId;
    this.choices = choices;
    this.consumer = consumer;
  }

  /** Hands over what has gathered, unless the client is behind. */
  flush(): void {
    if (this.closed || !this.consumer.isReady()) return;
    const outputs = this.choices.map((choice) => choice.take()).filter((output) => output !== null);
    if (this.choices.every((choice) => choice.isFinished)) this.closed = true;
    if (outputs.length > 0) this.consumer.deliver(outputs);
  }
}
