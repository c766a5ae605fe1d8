/** What one life of a daemon does to the engine on its machine: the host's part, without processes. */
import type { Event, Order } from '../../../src/engine/orders.ts';
import type { EngineHost } from '../../../src/node/ports.ts';
import type { Dice } from '../dice.ts';
import type { Host } from '../terrain.ts';
import { contextTokens, model } from './answer.ts';
import type { SimEngine } from './engine.ts';
import type { Place } from './wires.ts';

/** Between an order and its answer, ms; and what the host waits for an engine that does not answer. */
const answerMs = { least: 1, most: 20 };
const askMs = 5_000;

const ability = {
  scaleOut: false,
  keyedByPosition: true,
  repeatable: true,
  neutralPenalties: true,
  showsSpecials: false,
};

/** The engine on each machine, whoever started it. */
export type Engines = {
  on(host: Host): SimEngine | null;
  launch(host: Host): SimEngine;
};

export function engineHostAt(
  place: Place,
  parts: { engines: Engines; dice: Dice; now(): number },
): EngineHost {
  const { engines, dice, now } = parts;
  const engine = (): SimEngine | null => engines.on(place.host);
  const later = (ms: number, act: () => void): void => place.process.receive(now() + ms, act);
  const soon = (act: () => void): void => later(dice.between(answerMs.least, answerMs.most), act);

  /** An engine that stands still says nothing until the host has had enough. */
  function ask(answer: (event: Event) => void, said: (asked: SimEngine) => Event, failed: Event): void {
    soon(() => {
      const asked = engine();
      if (asked?.isBooted !== true) return answer(failed);
      if (asked.place.process.paused) return later(askMs, () => answer(failed));
      answer(said(asked));
    });
  }

  function own(found: SimEngine, life: number, answer: (event: Event) => void): void {
    found.onExit = () =>
      soon(() => answer({ type: 'exited', life, code: null, signal: 'SIGKILL', cause: null }));
  }

  function perform(order: Order, answer: (event: Event) => void): void {
    const { life } = order;
    switch (order.type) {
      case 'adopt':
        return soon(() => {
          const found = engine();
          if (found === null) return answer({ type: 'adopt.none', life });
          own(found, life, answer);
          answer({ type: 'adopted', life, pid: found.pid });
        });
      case 'spawn':
        return soon(() => {
          const spawned = engines.launch(place.host);
          own(spawned, life, answer);
          answer({ type: 'spawned', life, pid: spawned.pid });
        });
      case 'probe': {
        const models = [{ id: model, maxModelLen: contextTokens }];
        const sick: Event = { type: 'probed', life, healthy: false, models: [] };
        return ask(answer, () => ({ type: 'probed', life, healthy: true, models }), sick);
      }
      case 'warm':
        return ask(
          answer,
          (asked) =>
            asked.isWell
              ? { type: 'warmed', life, ability }
              : { type: 'warm.failed', life, cause: 'no answer' },
          { type: 'warm.failed', life, cause: 'refused' },
        );
      case 'sample':
        return ask(answer, (asked) => ({ type: 'sampled', life, metrics: metricsOf(asked) }), {
          ...{ type: 'sample.failed', life, cause: 'no answer' },
        });
      case 'check':
        return ask(answer, (asked) => ({ type: 'checked', life, isDead: !asked.listens, cause: null }), {
          type: 'checked',
          life,
          isDead: engine() === null,
          cause: null,
        });
      case 'terminate':
        return soon(() => engine()?.terminate());
      case 'kill':
        return soon(() => engine()?.kill());
      case 'sweep':
        return soon(() => {
          engine()?.kill();
          answer({ type: 'swept', life, left: 0 });
        });
    }
  }

  return { perform, close: () => Promise.resolve() };
}

function metricsOf({ load, generated, prompted }: SimEngine) {
  return {
    ...load,
    ...{ byModel: new Map(), kvUsage: 0, promptTokens: prompted, generationTokens: generated },
  };
}
