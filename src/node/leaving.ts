/**
 * Drives the drain: what makes this node go (notices, signals, operators) on one side, what its going does to peers,
 * gateway, engine and tags on the other.
 */
import * as drain from '../drain/drain.ts';
import type { DrainEffect, DrainEvent, DrainReason, DrainState } from '../drain/drain.ts';
import * as notices from '../spot/notices.ts';
import { wallTime, type Instant } from '../std/time.ts';
import { drive } from './drive.ts';
import type { Report } from './facts.ts';
import { listeners, type Listeners } from './listeners.ts';
import type { Clock, ReadNotice } from './ports.ts';
import { within } from './within.ts';

/** A read of the metadata service that takes longer is given up, so that the next one is not late. */
const readMs = 2_000;

export type Leaving = {
  /** A drain began, or its end moved: peers must know, and no new work is taken. */
  readonly announced: Listeners<[reason: DrainReason, deadline: number]>;
  readonly relayEnd: Listeners<[at: Instant]>;
  phase(): DrainState['phase'];
  begin(reason: DrainReason, remainingMs: number): void;
  /** What still runs here changed. */
  loadChanged(): void;
  watch(): void;
  /** Resolves when the node has left; never on its own. */
  readonly left: Promise<void>;
  stop(): void;
};

export function openLeaving(options: {
  readonly clock: Clock;
  readonly readNotice: ReadNotice | null;
  readonly load: () => { readonly generations: number; readonly relays: number };
  readonly stopEngine: (withinMs: number) => Promise<void>;
  readonly sayGoodbye: (withinMs: number) => Promise<void>;
  readonly report: Report;
}): Leaving {
  const { clock, report } = options;
  const announced = listeners<[DrainReason, number]>();
  const relayEnd = listeners<[Instant]>();
  const left = Promise.withResolvers<void>();
  const stopping = new AbortController();

  function perform(effect: DrainEffect): void {
    switch (effect.type) {
      case 'announce': {
        const deadline = wallTime(clock.wallNow() + (effect.until - clock.now()));
        announced.tell(effect.reason, Math.round(deadline));
        return relayEnd.tell(effect.relayUntil);
      }
      case 'cut-relays':
        return relayEnd.tell(clock.now());
      case 'stop-engine':
        return void answered(options.stopEngine(effect.withinMs), { type: 'engine.stopped' });
      case 'say-goodbye':
        return void answered(options.sayGoodbye(effect.withinMs), { type: 'goodbye.said' });
      case 'exit':
        return left.resolve();
      case 'fact':
        report({ ...effect.fact });
        if (effect.fact.fact === 'drain.started') report({ fact: 'drain.handing', ...options.load() });
        return;
    }
  }

  /** A goodbye that failed is not said: the drain's own deadline then ends the wait. */
  async function answered(done: Promise<void>, event: DrainEvent): Promise<void> {
    try {
      await done;
      driven.deliver(event);
    } catch (error) {
      report({ fact: 'drain.stumbled', at: event.type, why: String(error) });
    }
  }

  const machine = { ...drain, wake: { type: 'tick' } as const };
  const driven = drive<DrainState, DrainEvent, DrainEffect>(machine, drain.initial, clock, perform);
  const loadChanged = (): void => driven.deliver({ type: 'load', ...options.load() });

  /** The first word of the load comes with the drain: a node that is idle already can leave at once. */
  function begin(reason: DrainReason, remainingMs: number): void {
    driven.deliver({ type: 'drain', reason, remainingMs });
    loadChanged();
  }

  function performNotice(effect: notices.Effect): void {
    switch (effect.type) {
      case 'read':
        return void read(effect.path);
      case 'leave':
        return begin(effect.reason, effect.remainingMs);
      case 'prepare':
        return; // Reported as a fact; lower weights and denser journals hang on it with the journal.
      case 'fact':
        return report({ ...effect.fact });
    }
  }

  async function read(path: notices.Path): Promise<void> {
    const limits = { clock, ms: readMs, stopping: stopping.signal };
    try {
      const reading = await within(limits, (signal) => options.readNotice!(path, signal));
      const wallNow = clock.wallNow();
      watching?.deliver(reading === null ? { type: 'absent', path } : { type: 'read', reading, wallNow });
    } catch {
      watching?.deliver({ type: 'failed', path }); // Failures are counted there; each single one is no news.
    }
  }

  let watching: ReturnType<typeof drive<notices.State, notices.Event, notices.Effect>> | null = null;

  return {
    announced,
    relayEnd,
    left: left.promise,
    phase: () => driven.state().phase,
    begin,
    loadChanged,
    watch: () => {
      if (options.readNotice === null) return;
      const first = notices.init(clock.now());
      watching = drive({ ...notices, wake: { type: 'tick' } as const }, first, clock, performNotice);
    },
    stop: () => {
      stopping.abort();
      watching?.stop();
      driven.stop();
    },
  };
}
