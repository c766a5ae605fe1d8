/**
 * The API server's side of the engine: starts the EngineCore process, keeps what is under way, and knows of the
 * engine only what its messages say. When they stop coming (a frozen core) the counters stand still and nothing else
 * changes; when the process goes unbidden, everything under way fails.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import type { CoreNews, CoreOrder, CoreSettings, PauseMode } from './core-messages.ts';
import { Choice, Generation, type ChoiceRequest, type Consumer, type Finish } from './generation.ts';
import { markupAfter } from './markup.ts';
import type { Metrics } from './metrics.ts';
import { Refusal } from './refusal.ts';
import type { Report, SequenceOrder } from './scheduler.ts';

export type Command = { readonly command: string; readonly args: readonly string[] };

/** Sequences under way at once, running and waiting: above it the machine's memory decides, not we. */
const sequencesMax = 10_000;

type UnderWay = { readonly generation: Generation; readonly choice: Choice };

export class Engine {
  readonly #child: ChildProcess;
  readonly #metrics: Metrics;
  /** See `EngineSettings.seed`. */
  readonly #seed: number | null;
  /** See `EngineSettings.markup`. */
  readonly #markup: boolean;
  readonly #underWay = new Map<number, UnderWay>();
  readonly #generations = new Set<Generation>();
  readonly #toFlush = new Set<Generation>();
  readonly #ready = Promise.withResolvers<boolean>();
  readonly #gone = Promise.withResolvers<void>();
  #paused: (() => void)[] = [];
  #streamless: (() => void) | null = null;
  #lastSequence = 0;
  isPaused = false;
  isGone = false;

  constructor(
    options: {
      readonly command: Command;
      readonly env: Readonly<Record<string, string | undefined>>;
      readonly seed: number | null;
      readonly markup: boolean;
    },
    metrics: Metrics,
  ) {
    this.#metrics = metrics;
    this.#seed = options.seed;
    this.#markup = options.markup;
    this.#child = spawn(options.command.command, options.command.args, {
      env: options.env,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#child.on('message', (news: CoreNews) => this.#hear(news));
    this.#child.on('error', () => this.#onGone());
    // Not `exit`: the last messages of a drained core may still be on their way then.
    this.#child.on('close', () => this.#onGone());
  }

  /** False: the process ended before it could compute anything. */
  get ready(): Promise<boolean> {
    return this.#ready.promise;
  }

  get gone(): Promise<void> {
    return this.#gone.promise;
  }

  /** Whether anything is still to be computed. */
  get isBusy(): boolean {
    return this.#underWay.size > 0;
  }

  get hasOpenStream(): boolean {
    return [...this.#generations].some(({ consumer }) => consumer.kind === 'stream');
  }

  /** Throws when so many more sequences are too many: asked before anything is made of them. */
  verifyRoom(sequences: number): void {
    if (this.#underWay.size + sequences <= sequencesMax) return;
    this.#metrics.rejected();
    throw new Refusal(503, 'ServiceUnavailableError', 'Too many requests are queued.', null);
  }

  submit(requestId: string, requests: readonly ChoiceRequest[], consumer: Consumer): Generation {
    const choices = requests.map((request) => new Choice(request, ++this.#lastSequence));
    const generation = new Generation(requestId, choices, consumer);
    this.#generations.add(generation);
    for (const choice of choices) this.#underWay.set(choice.sequenceId, { generation, choice });
    for (const { request, sequenceId } of choices) this.#metrics.began(sequenceId, request);
    this.#tell({ type: 'add', sequences: choices.map((choice) => this.#orderOf(choice)) });
    return generation;
  }

  #orderOf({ request, sequenceId }: Choice): SequenceOrder {
    const { sampling } = request;
    const drawn = this.#seed === null ? null : this.#seed + sequenceId;
    return {
      id: sequenceId,
      promptIds: request.promptIds,
      maxTokens: request.maxTokens,
      seed: sampling.temperature === 0 ? null : (sampling.seed ?? drawn),
      topK: sampling.topK,
      minTokens: sampling.minTokens,
      ignoreEos: sampling.ignoreEos,
      stopTokenIds: sampling.stopTokenIds,
      presencePenalty: sampling.presencePenalty,
      frequencyPenalty: sampling.frequencyPenalty,
      logitBias: sampling.logitBias,
      allowed: sampling.allowed,
      forced: sampling.forced,
      taught: this.#markup ? markupAfter(request.promptIds) : [],
    };
  }

  /** Its client is gone, or wants no more: not counted as an `abort`. */
  drop(generation: Generation): void {
    generation.closed = true;
    const ids = generation.choices.map(({ sequenceId }) => sequenceId).filter((id) => this.#underWay.has(id));
    this.#forget(generation);
    if (ids.length > 0) this.#tell({ type: 'abort', ids });
  }

  /** Ends it with what has come so far. Unknown ids are passed over. */
  abortRequests(requestIds: readonly string[]): void {
    for (const generation of [...this.#generations])
      if (requestIds.includes(generation.requestId)) this.#abort(generation);
  }

  #abort(generation: Generation): void {
    const open = generation.choices.filter((choice) => !choice.isFinished);
    for (const choice of open) this.#finish(choice, { reason: 'abort', stopReason: null });
    this.#tell({ type: 'abort', ids: open.map(({ sequenceId }) => sequenceId) });
    this.#flush(generation);
  }

  /** Calls back when the last stream's client has gone. */
  onceStreamless(callback: () => void): void {
    this.#streamless = () => {
      this.#streamless = null;
      callback();
    };
  }

  /** Answers whole answers with what there is of them; streams stay as they are, silent. */
  abandonWhole(): void {
    for (const generation of [...this.#generations])
      if (generation.consumer.kind === 'whole') this.#abort(generation);
  }

  pause(mode: PauseMode): Promise<void> {
    this.isPaused = true;
    this.#tell({ type: 'pause', mode });
    return new Promise((resolve) => this.#paused.push(resolve));
  }

  resume(): void {
    this.isPaused = false;
    this.#tell({ type: 'resume' });
  }

  drain(): void {
    this.#tell({ type: 'drain' });
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /** Fails everything that is not finished; what only waits for a slow reader stays. */
  failAll(): void {
    const unfinished = [...this.#underWay.values()].map(({ generation }) => generation);
    for (const generation of new Set(unfinished)) {
      generation.closed = true;
      this.#forget(generation);
      generation.consumer.fail();
    }
  }

  #tell(order: CoreOrder): void {
    if (this.#child.connected) this.#child.send(order, () => {});
  }

  #onGone(): void {
    this.isGone = true;
    this.#ready.resolve(false);
    this.#gone.resolve();
  }

  #hear(news: CoreNews): void {
    switch (news.type) {
      case 'ready':
        this.#ready.resolve(true);
        break;
      case 'report':
        this.#take(news.report);
        break;
      case 'paused':
        for (const resolve of this.#paused.splice(0)) resolve();
        break;
    }
  }

  #take({ tokens, admitted, finished, load }: Report): void {
    const nowMs = performance.now();
    this.#metrics.loaded(load);
    for (const [id, cachedTokens] of admitted) this.#admitted(id, { cachedTokens, nowMs });
    const ends = new Map(finished.map(([id, reason, stopReason]) => [id, { reason, stopReason }]));
    const stopped: number[] = [];
    for (let i = 0; i < tokens.length; i += 2) {
      const found = this.#underWay.get(tokens[i]!);
      if (found === undefined) continue;
      const end = ends.get(tokens[i]!) ?? null;
      ends.delete(tokens[i]!);
      this.#metrics.token(tokens[i]!, nowMs);
      if (found.choice.push(tokens[i + 1]!, end)) stopped.push(tokens[i]!);
      if (found.choice.isFinished) this.#settle(found.choice);
      this.#flushSoon(found.generation);
    }
    if (tokens.length > 0) this.#metrics.stepped(tokens.length / 2);
    for (const [id, end] of ends) this.#endWithoutToken(id, end);
    if (stopped.length > 0) this.#tell({ type: 'abort', ids: stopped });
  }

  #admitted(id: number, what: { readonly cachedTokens: number; readonly nowMs: number }): void {
    const choice = this.#underWay.get(id)?.choice;
    if (choice === undefined) return;
    choice.cachedTokens = what.cachedTokens;
    this.#metrics.admitted(choice, what.nowMs);
  }

  #endWithoutToken(id: number, end: Finish): void {
    const found = this.#underWay.get(id);
    if (found === undefined) return;
    this.#finish(found.choice, end);
    this.#flushSoon(found.generation);
  }

  #finish(choice: Choice, end: Finish): void {
    choice.end(end);
    this.#settle(choice);
  }

  #settle(choice: Choice): void {
    this.#underWay.delete(choice.sequenceId);
    this.#metrics.ended(choice);
  }

  /** Messages that arrive together are handed over together: a server that was stopped catches up in big chunks. */
  #flushSoon(generation: Generation): void {
    if (this.#toFlush.size === 0) setImmediate(() => this.#flushAll());
    this.#toFlush.add(generation);
  }

  #flushAll(): void {
    const generations = [...this.#toFlush];
    this.#toFlush.clear();
    for (const generation of generations) this.#flush(generation);
  }

  /** Also what a client calls when it can take more. */
  resumeReading(generation: Generation): void {
    this.#flush(generation);
  }

  #flush(generation: Generation): void {
    generation.flush();
    if (generation.closed) this.#forget(generation);
  }

  #forget(generation: Generation): void {
    this.#generations.delete(generation);
    this.#toFlush.delete(generation);
    for (const { sequenceId } of generation.choices) {
      this.#underWay.delete(sequenceId);
      this.#metrics.forgot(sequenceId);
    }
    if (this.#streamless !== null && !this.hasOpenStream) this.#streamless();
  }
}

export const coreCommand = (settings: CoreSettings, respawn: (args: readonly string[]) => Command): Command =>
  respawn(['simulated-engine', 'engine-core', JSON.stringify(settings)]);
