/**
 * Carries out what the fleet decides about processes: one queue per instance, so that the host hears of a launch
 * before it hears of a kill. A kill does not wait for a launch that hangs: it calls the launch off first.
 */
import type { Clock } from '../../node/ports.ts';
import { Failure } from '../../std/failure.ts';
import { after } from '../../std/time.ts';
import type { Hosts, Part, ProcessSignal } from './hosts.ts';

type Start = (signal: AbortSignal) => Promise<void>;

export type Power = {
  boot(id: string, start: Start): void;
  signal(id: string, part: Part, signal: ProcessSignal): void;
  isolate(id: string, on: boolean): void;
  forget(id: string): void;
  /** Resolves when everything ordered so far was carried out or has failed. */
  settled(): Promise<void>;
};

type Options = {
  readonly hosts: Hosts;
  readonly clock: Clock;
  /** The daemon did not come up, and nobody called it off. */
  launchFailed(id: string, error: unknown): void;
  /** Any other order that its host could not carry out. */
  report(id: string, order: string, error: unknown): void;
};

/** A daemon's process that is not there by then never will be, ms: spawning takes milliseconds. */
const launchMs = 30_000;
/** What a host has not done by then is reported, and the next order is given, ms; more than a launch may take. */
const orderMs = 40_000;

export function openPower({ hosts, clock, launchFailed, report }: Options): Power {
  const queues = new Map<string, Promise<void>>();
  const launches = new Map<string, AbortController>();

  function enqueue(id: string, order: string, work: () => Promise<void>): void {
    const turn = (queues.get(id) ?? Promise.resolve()).then(() => bounded(clock, orderMs, work()));
    queues.set(
      id,
      turn.catch((error: unknown) => report(id, order, error)),
    );
  }

  async function launch(id: string, off: AbortController, start: Start): Promise<void> {
    if (off.signal.aborted) return;
    const disarm = clock.wakeAt(after(clock.now(), launchMs), () =>
      off.abort(new Failure('late', 'launch: too slow')),
    );
    const calledOff = new Promise<never>((_, reject) => {
      off.signal.addEventListener('abort', () => reject(off.signal.reason as Error), { once: true });
    });
    // A host that starts the process although the launch was called off would leave it behind.
    const started = start(off.signal).then(() => (off.signal.aborted ? kill(id) : undefined));
    try {
      await Promise.race([started, calledOff]);
    } catch (error) {
      // A launch that a kill called off is no news: the fleet ordered both.
      if (off.signal.reason !== killed) launchFailed(id, error);
    } finally {
      disarm();
      launches.delete(id);
      if (off.signal.aborted)
        started.catch((error: unknown) => {
          if (error !== off.signal.reason) report(id, 'launch called off', error);
        });
    }
  }

  const kill = (id: string): Promise<void> => hosts.signal(id, 'instance', 'SIGKILL');

  return {
    boot(id, start) {
      const off = new AbortController();
      launches.set(id, off);
      enqueue(id, 'launch', () => launch(id, off, start));
    },
    signal(id, part, signal) {
      if (part === 'instance' && signal === 'SIGKILL') launches.get(id)?.abort(killed);
      enqueue(id, `${signal} to ${part}`, () => hosts.signal(id, part, signal));
    },
    isolate: (id, on) => enqueue(id, on ? 'isolate' : 'join', () => hosts.isolate(id, on)),
    forget: (id) => queues.delete(id),
    settled: async () => {
      await Promise.all(queues.values());
    },
  };
}

const killed = Symbol('killed while launching');

async function bounded(clock: Clock, ms: number, work: Promise<void>): Promise<void> {
  let disarm = (): void => {};
  const late = new Promise<never>((_, reject) => {
    disarm = clock.wakeAt(after(clock.now(), ms), () => reject(new Failure('late', `host: ${ms} ms`)));
  });
  await Promise.race([work, late]).finally(() => disarm());
}
