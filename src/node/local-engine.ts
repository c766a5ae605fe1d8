/**
 * The engine of this node: the supervision driven against its host, and the count of generations that run on it.
 * Every generation goes through this node, so our own count is exact where the engine's metrics lag by a second; what
 * only the engine knows is how many of them run at once, and whether it works for somebody else. The rest wait in its
 * queue, from the instant at which they begin.
 */
import type { Event as EngineEvent, Effect as EngineEffect, Standing } from '../engine/orders.ts';
import { defaults, status, type State, type Status } from '../engine/stage.ts';
import * as engine from '../engine/supervision.ts';
import type { Rng } from '../std/random.ts';
import { drive, type Driven } from './drive.ts';
import type { Report } from './facts.ts';
import { listeners } from './listeners.ts';
import { once } from './once.ts';
import type { Clock, EngineHost } from './ports.ts';
import type { MemberLoad } from './serving.ts';

/** Work in hand and no token for this long: what it has to do says nothing of when it will be done. */
const stuckMsMax = 3_000;
/** Asked for its metrics and silent for this long: vLLM answers within 20 ms, whatever its core is doing. */
const answerMsMax = 2_000;

type TellDead = (isDead: boolean) => void;

type EngineOptions = {
  readonly host: EngineHost;
  /** What it will serve, for those who ask before it is ready. */
  readonly expectedModels: readonly string[];
  readonly readyMs: number;
  readonly rng: Rng;
  readonly clock: Clock;
  readonly report: Report;
};

export class LocalEngine {
  /** Phase or models changed. */
  readonly changed = listeners();
  /** Whatever still runs on it must be cut now; it is stopped next. */
  readonly cut = listeners();
  /** The number of generations changed. */
  readonly counted = listeners();

  readonly #options: EngineOptions;
  readonly #driven: Driven<State, EngineEvent>;
  readonly #stopped = Promise.withResolvers<void>();
  #generations = 0;
  /** Who is to hear of the question after its health that was put last, and of the next one. */
  #asking: TellDead[] = [];
  #waiting: TellDead[] = [];
  /** At the last look at the engine: what it had beyond ours, as of an earlier daemon. */
  #others = 0;

  constructor(options: EngineOptions) {
    this.#options = options;
    const initial = engine.init({ ...defaults, readyMs: options.readyMs }, options.rng);
    this.#driven = drive<State, EngineEvent, EngineEffect>(
      engine.supervision,
      initial,
      options.clock,
      (effect) => this.#perform(effect),
    );
  }

  status(): Status {
    return expecting(status(this.#driven.state()), this.#options.expectedModels);
  }

  /** null: not known, which is not the same as idle. */
  load(): MemberLoad | null {
    const { phase, load, stuckMs, askedAt } = this.status();
    if (phase !== 'ready' || load === null || stuckMs >= stuckMsMax) return null;
    if (askedAt !== null && this.#options.clock.now() - askedAt >= answerMsMax) return null;
    const { kvUsage, seats } = load;
    const total = Math.max(this.#generations, load.running + load.waiting);
    const inHand = Math.min(this.#generations + this.#others, total);
    const waiting = seats === null ? 0 : Math.max(0, inHand - seats);
    return { running: total - waiting, waiting, ...(kvUsage === null ? {} : { kvUsage }) };
  }

  generations(): number {
    return this.#generations;
  }

  /** A generation begins; call the result when it ends. */
  generating(): () => void {
    this.#count(1);
    return once(() => this.#count(-1));
  }

  /** It answered a request by an error of its own, or broke a connection: tells whether it is dead, once it was asked. */
  erred(tell: TellDead): void {
    if (this.status().phase !== 'ready') return tell(true);
    this.#waiting.push(tell);
    this.#driven.deliver({ type: 'erred' });
  }

  start(): void {
    this.#driven.deliver({ type: 'start' });
  }

  /** Resolves when nothing of it runs any more, at the latest after `withinMs`. */
  async stop(withinMs: number): Promise<void> {
    this.#driven.deliver({ type: 'stop', withinMs, graceful: true });
    await this.#stopped.promise;
  }

  /** Lets go of it without touching it. */
  async close(): Promise<void> {
    this.#driven.stop();
    await this.#options.host.close();
  }

  #count(change: 1 | -1): void {
    this.#generations += change;
    this.counted.tell();
  }

  #perform(effect: EngineEffect): void {
    const { host, report } = this.#options;
    switch (effect.type) {
      case 'announce':
        this.changed.tell();
        return effect.engine.phase === 'ready' ? undefined : this.#tellDead();
      case 'cut':
        this.cut.tell();
        return this.#driven.deliver({ type: 'streams.cut' });
      case 'stopped':
        return this.#stopped.resolve();
      case 'fact':
        return report({ ...effect.fact });
      case 'check': {
        const asking = this.#waiting.splice(0);
        this.#asking = asking;
        return host.perform(effect, (answer) => {
          // The next question may be put by that: those who wait for it hear nothing of this one.
          this.#answered(answer);
          for (const tell of asking.splice(0)) tell(answer.type === 'checked' && answer.isDead);
        });
      }
      case 'adopt':
      case 'spawn':
      case 'probe':
      case 'warm':
      case 'sample':
      case 'terminate':
      case 'kill':
      case 'sweep':
        return host.perform(effect, (answer) => this.#answered(answer));
    }
  }

  #tellDead(): void {
    for (const tell of [...this.#asking.splice(0), ...this.#waiting.splice(0)]) tell(true);
  }

  #answered(answer: EngineEvent): void {
    this.#driven.deliver(answer);
    if (answer.type !== 'sampled') return;
    const { load } = this.status();
    if (load !== null) this.#others = Math.max(0, load.running + load.waiting - this.#generations);
  }
}

/** An engine that loads a model for minutes has no model list yet; peers answer "starting" instead of "unknown". */
const expecting = <S extends Standing>(standing: S, expectedModels: readonly string[]): S =>
  standing.models.length === 0 ? { ...standing, models: expectedModels } : standing;
