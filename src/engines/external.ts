/**
 * An engine that somebody else runs, given by its URL: asked like our own, and never started or ended. To the
 * supervision it looks like a process: `spawn` is beginning to look at it, and when nobody listens there any more it
 * has exited.
 */
import type { Event, Order } from '../engine/orders.ts';
import { messageOf } from '../std/failure.ts';
import { connectionTo } from './connection.ts';
import { examine } from './examination.ts';
import { type Exchange, healthOf, isDead, isRefused, probe, sample } from './exchange.ts';
import type { EngineHost } from './host.ts';

/** `url`: of the engine's root, http or https. */
export function openExternalEngine(url: string): EngineHost {
  const { origin, dispatcher, questions, close } = connectionTo(new URL(url).origin, null);
  const released = new AbortController();
  return {
    origin,
    dispatcher,
    perform: (order, deliver) => void answer(order, questions, released.signal).then(deliver),
    async release() {
      released.abort();
      await close();
    },
  };
}

async function answer(order: Order, engine: Exchange, signal: AbortSignal): Promise<Event> {
  const { type, life } = order;
  switch (type) {
    case 'adopt':
      return { type: 'adopt.none', life };
    case 'spawn':
      return { type: 'spawned', life, pid: null };
    case 'probe':
      return probe(engine, signal).then(
        (seen) => ({ type: 'probed', life, ...seen }),
        () => ({ type: 'probed', life, healthy: false, models: [] }),
      );
    case 'warm':
      return examine(engine, order.model, signal).then(
        // In which precision it computes, nobody tells.
        (found) => ({ type: 'warmed', life, ability: { ...found, repeatable: false } }),
        (error: unknown) => ({ type: 'warm.failed', life, cause: messageOf(error) }),
      );
    case 'sample':
      return sample(engine, signal).then(
        (metrics) => ({ type: 'sampled', life, metrics }),
        (error: unknown) => unsampled(life, error),
      );
    case 'check':
      return healthOf(engine, signal).then((health) => ({
        type: 'checked',
        life,
        isDead: isDead(health),
        cause: null,
      }));
    case 'terminate':
    case 'kill':
      return gone(life, null);
    case 'sweep':
      return { type: 'swept', life, left: 0 };
  }
}

const gone = (life: number, cause: string | null): Event => ({
  type: 'exited',
  life,
  code: null,
  signal: null,
  cause,
});

function unsampled(life: number, error: unknown): Event {
  const cause = messageOf(error);
  return isRefused(error) ? gone(life, cause) : { type: 'sample.failed', life, cause };
}
