/**
 * A supervision under virtual time with an engine that does as it is told: what a test does not say goes well.
 * The same `drive` as in production runs it.
 */
import type { EngineFact } from '../../src/engine/facts.ts';
import type { EngineMetrics } from '../../src/engine/metrics.ts';
import type { Effect, Event, Order } from '../../src/engine/orders.ts';
import { type Config, defaults, type State, status } from '../../src/engine/stage.ts';
import { init, supervision } from '../../src/engine/supervision.ts';
import { drive } from '../../src/node/drive.ts';
import type { Clock } from '../../src/node/ports.ts';
import { noAbility } from '../../src/std/ability.ts';
import { type Instant, instant, wallTime } from '../../src/std/time.ts';

export const model = { id: 'm', maxModelLen: 4_096 };

export const reading = (fields: Partial<EngineMetrics> = {}): EngineMetrics => ({
  running: 0,
  waiting: 0,
  kvUsage: 0,
  promptTokens: 0,
  generationTokens: 0,
  byModel: new Map(),
  ...fields,
});

type Answer = (order: Order) => Event | null;

/** Everything works: nothing to adopt, ready at the first probe, idle. A kill is followed by the exit it causes. */
export function obliging(order: Order): Event | null {
  const { life } = order;
  switch (order.type) {
    case 'adopt':
      return { type: 'adopt.none', life };
    case 'spawn':
      return { type: 'spawned', life, pid: 100 + life };
    case 'probe':
      return { type: 'probed', life, healthy: true, models: [model] };
    case 'warm':
      return { type: 'warmed', life, ability: noAbility };
    case 'sample':
      return { type: 'sampled', life, metrics: reading() };
    case 'check':
      return { type: 'checked', life, isDead: false, cause: null };
    case 'terminate':
      return { type: 'exited', life, code: 0, signal: null, cause: null };
    case 'kill':
      return { type: 'exited', life, code: null, signal: 'SIGKILL', cause: null };
    case 'sweep':
      return { type: 'swept', life, left: 0 };
  }
}

export class World {
  /** How the host answers; replace it to make the engine misbehave. */
  answer: Answer = obliging;
  readonly effects: { readonly at: number; readonly effect: Effect }[] = [];
  #now = 0;
  #timers = new Set<{ readonly at: Instant; readonly wake: () => void }>();
  readonly #driven;

  constructor(config: Partial<Config> = {}, seed = 1) {
    const clock: Clock = {
      now: () => instant(this.#now),
      wallNow: () => wallTime(this.#now),
      wakeAt: (at, wake) => {
        const timer = { at, wake };
        this.#timers.add(timer);
        return () => this.#timers.delete(timer);
      },
    };
    const initial = init({ ...defaults, ...config }, { seed });
    this.#driven = drive(supervision, initial, clock, (effect) => this.#perform(effect));
  }

  #perform(effect: Effect): void {
    this.effects.push({ at: this.#now, effect });
    if (!('life' in effect)) return;
    const event = this.answer(effect);
    if (event !== null) this.#driven.deliver(event);
  }

  tell(event: Event): void {
    this.#driven.deliver(event);
  }

  /** Runs every timer due within the next `ms`, in order. */
  run(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const due = [...this.#timers].filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#timers.delete(due);
      this.#now = Math.max(this.#now, due.at);
      due.wake();
    }
    this.#now = end;
  }

  /** Time passes and no timer fires, as when the whole machine was frozen. */
  freeze(ms: number): void {
    this.#now += ms;
  }

  get state(): State {
    return this.#driven.state();
  }

  get phase(): State['stage']['phase'] {
    return this.state.stage.phase;
  }

  status(): ReturnType<typeof status> {
    return status(this.state);
  }

  get now(): number {
    return this.#now;
  }

  /** Types of the effects since `mark`, in order; facts by their names. */
  said(mark = 0): string[] {
    return this.effects
      .slice(mark)
      .map(({ effect }) => (effect.type === 'fact' ? effect.fact.fact : effect.type));
  }

  facts<F extends EngineFact['fact']>(name: F): Extract<EngineFact, { fact: F }>[] {
    return this.effects.flatMap(({ effect }) =>
      effect.type === 'fact' && effect.fact.fact === name
        ? [effect.fact as Extract<EngineFact, { fact: F }>]
        : [],
    );
  }

  times(type: Effect['type']): number[] {
    return this.effects.filter(({ effect }) => effect.type === type).map(({ at }) => at);
  }
}

/** A world whose engine is ready. */
export function serving(config: Partial<Config> = {}, seed = 1): World {
  const world = new World(config, seed);
  world.tell({ type: 'start' });
  world.run(1_000);
  return world;
}
