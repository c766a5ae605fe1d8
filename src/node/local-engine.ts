/**
 * The engine of this node: the supervision driven against its host, and the count of generations that run on it.
 * Every generation goes through this node, so our own count is exact where the engine's metrics lag by a second; what
 * only the engine knows is how many of them wait in its queue.
 */
import type { Event as EngineEvent, Effect as EngineEffect, Standing } from '../engine/orders.ts';
import { defaults, status, type State, type Status } from '../engine/stage.ts';
import * as engine from '../engine/supervision.ts';
import type { Rng } from '../std/random.ts';
import { drive } from './drive.ts';
import type { Report } from './facts.ts';
import { listeners, type Listeners } from './listeners.ts';
import type { Clock, EngineHost } from './ports.ts';
import type { MemberLoad } from './serving.ts';

/** Work in hand and no token for this long: what it has to do says nothing of when it will be done. */
const stuckMsMax = 3_000;
/** Asked for its metrics and silent for this long: vLLM answers within 20 ms, whatever its core is doing. */
const answerMsMax = 2_000;

export type LocalEngine = {
  /** Phase or models changed. */
  readonly changed: Listeners<[]>;
  /** Whatever still runs on it must be cut now; it is stopped next. */
  readonly cut: Listeners<[]>;
  /** The number of generations changed. */
  readonly counted: Listeners<[]>;
  status(): Status;
  load(): MemberLoad | null;
  generations(): number;
  /** A generation begins; call the result when it ends. */
  generating(): () => void;
  start(): void;
  /** Resolves when nothing of it runs any more, at the latest after `withinMs`. */
  stop(withinMs: number): Promise<void>;
  /** Lets go of it without touching it. */
  close(): Promise<void>;
};

export function openEngine(options: {
  readonly host: EngineHost;
  /** What it will serve, for those who ask before it is ready. */
  readonly expectedModels: readonly string[];
  readonly readyMs: number;
  readonly rng: Rng;
  readonly clock: Clock;
  readonly report: Report;
}): LocalEngine {
  const { host, report } = options;
  const [changed, cut, counted] = [listeners(), listeners(), listeners()];
  const stopped = Promise.withResolvers<void>();
  let generations = 0;

  function perform(effect: EngineEffect): void {
    switch (effect.type) {
      case 'announce':
        return changed.tell();
      case 'cut':
        cut.tell();
        return driven.deliver({ type: 'streams.cut' });
      case 'stopped':
        return stopped.resolve();
      case 'fact':
        return report({ ...effect.fact });
      case 'adopt':
      case 'spawn':
      case 'probe':
      case 'warm':
      case 'sample':
      case 'terminate':
      case 'kill':
      case 'sweep':
        return host.perform(effect, (answer) => driven.deliver(answer));
    }
  }

  const initial = engine.init({ ...defaults, readyMs: options.readyMs }, options.rng);
  const driven = drive<State, EngineEvent, EngineEffect>(engine.supervision, initial, options.clock, perform);

  return {
    changed,
    cut,
    counted,
    generations: () => generations,
    status: () => expecting(status(driven.state()), options.expectedModels),
    load: () => {
      const { phase, load, stuckMs, askedAt } = status(driven.state());
      if (phase !== 'ready' || load === null || stuckMs >= stuckMsMax) return null;
      if (askedAt !== null && options.clock.now() - askedAt >= answerMsMax) return null;
      const total = Math.max(generations, load.running + load.waiting);
      const waiting = Math.min(load.waiting, total);
      return { running: total - waiting, waiting };
    },
    generating: () => {
      let running = true;
      generations++;
      counted.tell();
      return () => {
        if (!running) return;
        running = false;
        generations--;
        counted.tell();
      };
    },
    start: () => driven.deliver({ type: 'start' }),
    stop: async (withinMs) => {
      driven.deliver({ type: 'stop', withinMs, graceful: true });
      await stopped.promise;
    },
    close: async () => {
      driven.stop();
      await host.close();
    },
  };
}

/** An engine that loads a model for minutes has no model list yet; peers answer "starting" instead of "unknown". */
const expecting = <S extends Standing>(standing: S, expectedModels: readonly string[]): S =>
  standing.models.length === 0 ? { ...standing, models: expectedModels } : standing;
