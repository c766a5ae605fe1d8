/**
 * Runs a pure machine against the world: one queue, one timer, effects performed in the order returned.
 *
 * The simulator and the daemon both go through here, so the ordering that a test sees is the ordering in production.
 */
import type { Instant } from '../std/time.ts';
import type { Clock } from './ports.ts';

export type Machine<S, E, F> = {
  step(state: S, event: E, now: Instant): readonly [S, readonly F[]];
  /** When the machine next wants to be woken; infinite when only an outside event can move it. */
  deadline(state: S): Instant;
  readonly wake: E;
};

export type Driven<S, E> = { deliver(event: E): void; state(): S; stop(): void };

export function drive<S, E, F>(
  machine: Machine<S, E, F>,
  initial: S,
  clock: Clock,
  perform: (effect: F) => void,
): Driven<S, E> {
  const idle = (): void => {};
  let state = initial;
  let disarm = idle;
  let armedFor = Infinity;
  let busy = false;
  let stopped = false;
  const queue: E[] = [];

  /** Queues first: an effect that answers at once must not re-enter `step` half-way through a batch. */
  function deliver(event: E): void {
    if (stopped) return;
    if (busy) return void queue.push(event);
    busy = true;
    try {
      for (let next: E | undefined = event; next !== undefined; next = following()) {
        const [moved, effects] = machine.step(state, next, clock.now());
        state = moved;
        for (let i = 0; i < effects.length; i++) perform(effects[i]!);
      }
    } finally {
      busy = false;
    }
    if (!stopped) rearm();
  }

  function following(): E | undefined {
    return queue.length === 0 ? undefined : queue.shift();
  }

  function wake(): void {
    armedFor = Infinity;
    deliver(machine.wake);
  }

  /** Token streams step thousands of times a second: the timer is touched only when the deadline moved. */
  function rearm(): void {
    const at = machine.deadline(state);
    if (at === armedFor) return;
    disarm();
    armedFor = at;
    disarm = at === Infinity ? idle : clock.wakeAt(at, wake);
  }

  rearm();
  return {
    deliver,
    state: () => state,
    stop: () => {
      stopped = true;
      queue.length = 0;
      disarm();
    },
  };
}
