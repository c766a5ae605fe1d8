/**
 * What the engine computes, without clock or process: sequences wait, run in one batch and gain one token each step.
 * Pure but for its own state, so that every rule here is tested without waiting.
 *
 * The order of a step is vLLM's: admit what fits, then one token for every sequence whose prompt has been read. The
 * engine knows ids only; texts, stop strings and clients live in the API server.
 */
import {
  candidatesAt,
  contextOf,
  extend,
  foreign,
  likeliest,
  noiseOf,
  pick,
  type Candidate,
  type Context,
  type RandomSource,
} from './model.ts';
import { PrefixCache } from './prefix-cache.ts';
import { eosId } from './vocabulary.ts';

/** One choice of one prompt, as the API server hands it over. */
export type SequenceOrder = {
  /** Unique among the sequences of this engine's life. */
  readonly id: number;
  readonly promptIds: readonly number[];
  readonly maxTokens: number;
  readonly minTokens: number;
  readonly ignoreEos: boolean;
  readonly stopTokenIds: readonly number[];
  /** Null: greedy. */
  readonly seed: number | null;
  /** 0 or less: of all tokens. */
  readonly topK: number;
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
  readonly logitBias: readonly (readonly [id: number, bias: number])[];
  /** Null: every token is allowed. */
  readonly allowed: readonly number[] | null;
  /** What a grammar forces as the first tokens of the output, before the end of the turn. Null: no grammar. */
  readonly forced: readonly number[] | null;
  /** What the model was taught to say first; what a grammar forces goes before it. */
  readonly taught: readonly number[];
};

export type FinishReason = 'stop' | 'length' | 'abort';
/** `stopTokenId`: which of the request's stop tokens ended it; null otherwise. */
type Finished = readonly [id: number, reason: FinishReason, stopTokenId: number | null];

export type Load = {
  readonly running: number;
  readonly waiting: number;
  /** Prompt and output tokens of what runs. */
  readonly tokensHeld: number;
};

type Admitted = readonly [id: number, cachedTokens: number];

export type Report = {
  /** Flat pairs: sequence, token. */
  readonly tokens: readonly number[];
  readonly admitted: readonly Admitted[];
  readonly finished: readonly Finished[];
  readonly load: Load;
};

export type Pace = {
  /** From admission to the first token, beyond the prompt's own time, ms. */
  readonly ttftMs: number;
  readonly prefillUsPerToken: number;
  /** Sequences that run at once. */
  readonly runningMax: number;
  readonly source: RandomSource;
};

type Sequence = {
  readonly order: SequenceOrder;
  context: Context;
  /** How often each output id came; kept only where a penalty asks. */
  readonly counts: Map<number, number> | null;
  drawn: number;
  firstTokenAt: number;
};

export class Scheduler {
  readonly #pace: Pace;
  readonly #prefixes = new PrefixCache();
  #waiting: Sequence[] = [];
  #running: Sequence[] = [];
  #admitting = true;

  constructor(pace: Pace) {
    this.#pace = pace;
  }

  get isIdle(): boolean {
    return this.#running.length === 0 && this.#waiting.length === 0;
  }

  get hasRunning(): boolean {
    return this.#running.length > 0;
  }

  add(order: SequenceOrder): void {
    const penalized = order.presencePenalty !== 0 || order.frequencyPenalty !== 0;
    this.#waiting.push({
      order,
      context: contextOf(order.promptIds),
      counts: penalized ? new Map() : null,
      drawn: 0,
      firstTokenAt: Infinity,
    });
  }

  /** Forgets them at once; of what is not here (any more) nothing is said. */
  abort(ids: ReadonlySet<number>): void {
    this.#waiting = this.#waiting.filter((sequence) => !ids.has(sequence.order.id));
    this.#running = this.#running.filter((sequence) => !ids.has(sequence.order.id));
  }

  abortAll(): Report {
    const gone = [...this.#running, ...this.#waiting];
    this.#running = [];
    this.#waiting = [];
    const finished = gone.map(({ order }): Finished => [order.id, 'abort', null]);
    return { tokens: [], admitted: [], finished, load: this.load() };
  }

  /** Whether waiting sequences may start. */
  admit(admitting: boolean): void {
    this.#admitting = admitting;
  }

  load(): Load {
    const held = this.#running.reduce((sum, { context }) => sum + context.position, 0);
    return { running: this.#running.length, waiting: this.#waiting.length, tokensHeld: held };
  }

  step(nowMs: number): Report {
    const admitted = this.#admitWaiting(nowMs);
    const tokens: number[] = [];
    const finished: Finished[] = [];
    for (const sequence of this.#running) {
      if (sequence.firstTokenAt > nowMs) continue;
      const id = this.#draw(sequence);
      tokens.push(sequence.order.id, id);
      const end = endAfter(sequence, id);
      if (end !== null) finished.push(end);
    }
    if (finished.length > 0) this.abort(new Set(finished.map(([id]) => id)));
    return { tokens, admitted, finished, load: this.load() };
  }

  #admitWaiting(nowMs: number): readonly Admitted[] {
    if (!this.#admitting) return [];
    const room = Math.max(0, this.#pace.runningMax - this.#running.length);
    return this.#waiting.splice(0, room).map((sequence) => {
      const { id, promptIds } = sequence.order;
      const cached = this.#prefixes.admit(promptIds);
      const prefillMs = ((promptIds.length - cached) * this.#pace.prefillUsPerToken) / 1000;
      sequence.firstTokenAt = nowMs + this.#pace.ttftMs + prefillMs;
      this.#running.push(sequence);
      return [id, cached];
    });
  }

  #draw(sequence: Sequence): number {
    const { order, context, counts, drawn } = sequence;
    const noise = noiseOf(context, { seed: order.seed, source: this.#pace.source, drawn });
    const steered = steer(sequence);
    const id = pick(order.topK > 0 ? likeliest(steered, context, order.topK) : steered, noise);
    counts?.set(id, (counts.get(id) ?? 0) + 1);
    sequence.context = extend(context, id);
    sequence.drawn += 1;
    return id;
  }
}

/** The candidates as the request wants them: forced, allowed, forbidden, made dearer or cheaper. */
function steer({ order, context, counts, drawn }: Sequence): readonly Candidate[] {
  const forced = drawn === order.forced?.length ? eosId : order.forced?.[drawn];
  if (forced !== undefined) return [foreign(forced)];
  const taught = order.forced === null ? order.taught[drawn] : undefined;
  if (taught !== undefined) return [foreign(taught)];
  const usual = candidatesAt(context);
  const banned = drawn < order.minTokens ? new Set([eosId, ...order.stopTokenIds]) : null;
  if (order.allowed === null && order.logitBias.length === 0 && counts === null && banned === null)
    return usual;

  const biases = new Map(order.logitBias);
  const known = new Set(usual.map(({ id }) => id));
  const foreigners = [...biases.keys()].filter((id) => !known.has(id)).map(foreign);
  const offered = order.allowed?.map(foreign) ?? [...usual, ...foreigners];
  const left = offered.filter(({ id }) => banned?.has(id) !== true);
  return (left.length > 0 ? left : offered).map(({ id, weight }) => {
    const count = counts?.get(id) ?? 0;
    const presence = count > 0 ? order.presencePenalty : 0;
    return { id, weight: weight + (biases.get(id) ?? 0) - presence - count * order.frequencyPenalty };
  });
}

function endAfter({ order, drawn }: Sequence, id: number): Finished | null {
  const stopsCount = drawn > order.minTokens || order.minTokens === 0;
  if (stopsCount && id === eosId && !order.ignoreEos) return [order.id, 'stop', null];
  if (stopsCount && order.stopTokenIds.includes(id)) return [order.id, 'stop', id];
  return drawn >= order.maxTokens ? [order.id, 'length', null] : null;
}
