/**
 * Where requests wait while every member that serves their model has a long queue of its own. Room is looked for often
 * and cheaply: members tell their queues twice a second, and on every answer.
 */
import { enqueue, expire, newQueue, next, withdraw, type Queue, type Waiting } from '../admission/queue.ts';
import type { Clock } from '../node/ports.ts';
import type { Serving, ServingMember } from '../node/serving.ts';
import { after } from '../std/time.ts';
import { busy, tooMany, type Reply } from './reply.ts';

/** Requests in an engine's own queue that keep it busy until we look again. */
const roomWaiting = 32;
/** How long a request waits for room, and how often it is looked for. ms */
const waitMs = 30_000;
const lookMs = 25;

type Guest = Pick<Waiting, 'key' | 'priority'> & {
  readonly begin: () => void;
  readonly refuse: (reply: Reply) => void;
};
type Entry = Guest & Waiting;

type WaitingRoom = {
  /** Nobody waits for this model, and somebody can take a request. */
  isFree(model: string): boolean;
  /** Begins or refuses it, at once or later, unless the result is called before. False: it was called too late. */
  wait(model: string, guest: Guest): () => boolean;
  close(): void;
};

export function openWaitingRoom({
  serving,
  clock,
}: {
  readonly serving: Pick<Serving, 'model'>;
  readonly clock: Clock;
}): WaitingRoom {
  const queues = new Map<string, Queue<Entry>>();
  let disarm: (() => void) | null = null;

  /** A model that nobody is ready for is no reason to wait: what to say then is known where requests are placed. */
  function placesFor(model: string): number {
    const ready = serving.model(model)?.ready ?? [];
    return ready.length === 0 ? Infinity : placesAt(ready);
  }

  function look(): void {
    disarm = null;
    for (const [model, queue] of queues) {
      for (const late of expire(queue, clock.now())) late.refuse(waitedLong);
      // Counted once a look: what begins now need not be in anybody's load before the next one.
      for (let left = placesFor(model); left > 0 && queue.waiting.length > 0; left--) next(queue)?.begin();
      if (queue.waiting.length === 0) queues.delete(model);
    }
    arm();
  }

  function arm(): void {
    if (queues.size > 0) disarm ??= clock.wakeAt(after(clock.now(), lookMs), look);
  }

  return {
    isFree: (model) => !queues.has(model) && placesFor(model) > 0,
    wait: (model, guest) => {
      const queue = queues.get(model) ?? newQueue<Entry>();
      queues.set(model, queue);
      const entry: Entry = { ...guest, until: after(clock.now(), waitMs) };
      enqueue(queue, entry)?.refuse(queueFull);
      arm();
      return () => withdraw(queue, entry);
    },
    close: () => disarm?.(),
  };
}

/** A member whose load is not known is no way past those that are known to be full; where all are unknown, each is one. */
function placesAt(ready: readonly ServingMember[]): number {
  const known = ready.filter(({ load }) => load !== null);
  const places = ({ load, unreported }: ServingMember): number =>
    Math.max(0, roomWaiting - (load?.waiting ?? 0) - unreported);
  return (known.length === 0 ? ready : known).reduce((sum, member) => sum + places(member), 0);
}

const waitedLong = busy('Every member that serves the model stayed busy for too long.', 'overloaded', 5_000);
const queueFull = tooMany('places', 5_000);
