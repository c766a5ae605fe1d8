/**
 * Drives the drain: what makes this node go (notices, signals, operators) on one side, what its going does to peers,
 * gateway, engine and tags on the other.
 */
import * as drain from '../drain/drain.ts';
import type { DrainEffect, DrainEvent, DrainReason, DrainState } from '../drain/drain.ts';
import * as notices from '../spot/notices.ts';
import type { Instant } from '../std/time.ts';
import { drive, type Driven } from './drive.ts';
import type { Report } from './facts.ts';
import { listeners } from './listeners.ts';
import type { Clock, ReadNotice } from './ports.ts';
import { within } from './within.ts';

/** A read of the metadata service that takes longer is given up, so that the next one is not late. */
const readMs = 2_000;

type LeavingOptions = {
  readonly clock: Clock;
  readonly readNotice: ReadNotice | null;
  readonly load: () => { readonly generations: number; readonly relays: number };
  readonly stopEngine: (withinMs: number) => Promise<void>;
  readonly sayGoodbye: (withinMs: number) => Promise<void>;
  readonly report: Report;
};

export class Leaving {
  /** A drain began, or its end moved: peers must know, and no new work is taken. */
  readonly announced = listeners<[reason: DrainReason, deadline: number]>();
  readonly relayEnd = listeners<[at: Instant]>();
  /** Resolves when the node has left; never on its own. */
  readonly left: Promise<void>;

  readonly #options: LeavingOptions;
  readonly #driven: Driven<DrainState, DrainEvent>;
  readonly #left = Promise.withResolvers<void>();
  readonly #stopping = new AbortController();
  #watching: Driven<notices.State, notices.Event> | null = null;

  constructor(options: LeavingOptions) {
    this.#options = options;
    this.left = this.#left.promise;
    const machine = { ...drain, wake: { type: 'tick' } as const };
    this.#driven = drive<DrainState, DrainEvent, DrainEffect>(
      machine,
      drain.initial,
      options.clock,
      (effect) => this.#perform(effect),
    );
  }

  phase(): DrainState['phase'] {
    return this.#driven.state().phase;
  }

  /** The first word of the load comes with the drain: a node that is idle already can leave at once. */
  begin(reason: DrainReason, remainingMs: number): void {
    this.#driven.deliver({ type: 'drain', reason, remainingMs });
    this.loadChanged();
  }

  /** What still runs here changed. */
  loadChanged(): void {
    this.#driven.deliver({ type: 'load', ...this.#options.load() });
  }

  /** Begins to watch the instance metadata, where there is any. */
  watch(): void {
    const { clock, readNotice } = this.#options;
    if (readNotice === null) return;
    const machine = { ...notices, wake: { type: 'tick' } as const };
    this.#watching = drive(machine, notices.init(clock.now()), clock, (effect: notices.Effect) =>
      this.#performNotice(effect, readNotice),
    );
  }

  stop(): void {
    this.#stopping.abort();
    this.#watching?.stop();
    this.#driven.stop();
  }

  #perform(effect: DrainEffect): void {
    const { clock, report, load, stopEngine, sayGoodbye } = this.#options;
    switch (effect.type) {
      case 'announce': {
        const deadline = clock.wallNow() + (effect.until - clock.now());
        this.announced.tell(effect.reason, Math.round(deadline));
        return this.relayEnd.tell(effect.relayUntil);
      }
      case 'cut-relays':
        return this.relayEnd.tell(clock.now());
      case 'stop-engine':
        return void this.#answer(stopEngine(effect.withinMs), { type: 'engine.stopped' });
      case 'say-goodbye':
        return void this.#answer(sayGoodbye(effect.withinMs), { type: 'goodbye.said' });
      case 'exit':
        return this.#left.resolve();
      case 'fact':
        report({ ...effect.fact });
        if (effect.fact.fact === 'drain.started') report({ fact: 'drain.handing', ...load() });
        return;
    }
  }

  /** A goodbye that failed is not said: the drain's own deadline then ends the wait. */
  async #answer(done: Promise<void>, event: DrainEvent): Promise<void> {
    try {
      await done;
      this.#driven.deliver(event);
    } catch (error) {
      this.#options.report({ fact: 'drain.stumbled', at: event.type, why: String(error) });
    }
  }

  #performNotice(effect: notices.Effect, readNotice: ReadNotice): void {
    switch (effect.type) {
      case 'read':
        return void this.#read(effect.path, readNotice);
      case 'leave':
        return this.begin(effect.reason, effect.remainingMs);
      case 'fact':
        return this.#options.report({ ...effect.fact });
    }
  }

  async #read(path: notices.Path, readNotice: ReadNotice): Promise<void> {
    const { clock } = this.#options;
    try {
      const limits = { clock, ms: readMs, stopping: this.#stopping.signal };
      const reading = await within(limits, (signal) => readNotice(path, signal));
      const wallNow = clock.wallNow();
      this.#watching?.deliver(
        reading === null ? { type: 'absent', path } : { type: 'read', reading, wallNow },
      );
    } catch {
      this.#watching?.deliver({ type: 'failed', path }); // Failures are counted there; a single one is no news.
    }
  }
}
