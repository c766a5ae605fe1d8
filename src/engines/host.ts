/**
 * Does what the supervision orders, to a real engine: finds it again, spawns it, asks it over its Unix socket, ends it.
 *
 * The engine leads a process group of its own and outlives this process; what it needs to be found again stands in the
 * ledger, and all that it ever starts carries a mark (its environment, or where it prints). The mark is what kill and
 * sweep go by, because a killed leader leaves children behind that nothing else ties to us.
 */
import { realpathSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Dispatcher } from 'undici';
import type { Event, Order } from '../engine/orders.ts';
import type { Report } from '../node/facts.ts';
import { Failure, messageOf } from '../std/failure.ts';
import { type Connection, connectionTo } from './connection.ts';
import { examine } from './examination.ts';
import { healthOf, isDead, probe, sample, warmUp } from './exchange.ts';
import { type Hindered, type Hindrances, openHindrances } from './hindrances.ts';
import { readLedger, writeLedger } from './ledger.ts';
import { keepBounded, readCause, sizeOf, turnOver } from './output.ts';
import { digestOf, type EngineSpec } from './spec.ts';

type Process = { readonly pid: number; readonly start: string };
type Mark = { readonly environment: Readonly<Record<string, string>>; readonly output: string };
type Exit = { readonly code: number | null; readonly signal: string | null };

/** What the host needs of the operating system. A process is its pid and its start, so that no other is ever hit. */
export type Processes = {
  launch(order: {
    readonly command: string;
    readonly args: readonly string[];
    readonly env: Readonly<Record<string, string>>;
    readonly output: string;
  }): Promise<Process & { readonly exited: Promise<Exit>; release(): void }>;
  startOf(pid: number): string | null;
  marked(mark: Mark): Promise<readonly (Process & { readonly command: string })[]>;
  signal(target: Process, signal: 'SIGTERM' | 'SIGKILL'): boolean;
};

export type EngineHost = {
  /** Every order that has an answer is answered once, within its own deadline. */
  perform(order: Order, deliver: (event: Event) => void): void;
  /** For the gateway: requests to the engine, with `origin`. */
  readonly dispatcher: Dispatcher;
  readonly origin: string;
  /** Lets go of the engine, which lives on. */
  release(): Promise<void>;
};

type HostOptions = {
  readonly spec: EngineSpec;
  /** Whose engine it is; with the socket's path it is the mark. */
  readonly nodeId: string;
  /** Holds the engine's ledger and output; exists already, and nobody else may write there. */
  readonly dataDir: string;
  /** What the engine inherits of this process's environment. */
  readonly inherited: Readonly<Record<string, string>>;
  readonly processes: Processes;
  readonly report: Report;
};

/** How soon the exit of an engine that is not our child is noticed, ms. One look reads one small file. */
const watchMs = 250;
/** Who listens no more has mostly ended, which tells more of it and comes by itself, ms. */
const endMs = 2 * watchMs;
/** A sweep gives up after this, ms: what SIGKILL has not ended by then is stuck in the kernel. */
const sweepMs = 10_000;
const sweepLookMs = 20;
/**
 * Python's resource tracker removes the shared memory and the semaphores of its family once all others are dead, which
 * nobody else can: their names are known to it alone. It is spared for this long, ms; it needs a few.
 */
const trackerMs = 2_000;
const tracker = /\bmultiprocessing[./]resource_tracker\b/;

type Living = {
  readonly life: number;
  readonly process: Process;
  /** Aborted when it is gone or let go: ends what waits for it. */
  readonly gone: AbortController;
  readonly release: () => void;
  /** To be called when its end has been told. */
  readonly ended: () => void;
  /** Where in the output the cause of an end is looked for: behind its start, once it has started well. */
  causeFrom: number;
  /** Whether the ledger tells of it. */
  isRecorded: boolean;
};

export function openEngineHost(options: HostOptions): EngineHost {
  return new OwnEngine(options);
}

class OwnEngine implements EngineHost {
  readonly origin: string;
  readonly dispatcher: Dispatcher;
  readonly #connection: Connection;
  readonly #options: HostOptions;
  readonly #mark: Mark;
  readonly #ledger: string;
  readonly #output: string;
  readonly #hindrances: Hindrances;
  #living: Living | null = null;
  /** The last life that was begun: what is still done about an earlier one must not touch it. */
  #begun = 0;
  /** The last life that was ordered to end: nothing of it is launched any more. */
  #condemned = 0;
  /** The last life whose process has ended, which may not have been told yet. */
  #over = 0;
  /** Until the end of the last one that lived has been told. */
  #ending: Promise<void> = Promise.resolve();
  /** A kill that is under way; a sweep comes after it. */
  #killing: Promise<void> = Promise.resolve();
  /** What a sweep is removing; a spawn comes after it. */
  #removing: Promise<unknown> = Promise.resolve();

  constructor(options: HostOptions) {
    const { spec, nodeId, dataDir } = options;
    this.#options = options;
    this.#ledger = join(dataDir, 'engine.json');
    this.#output = join(realpathSync(dataDir), 'engine.log');
    const environment = { SYNKTI_ENGINE_ID: nodeId, SYNKTI_ENGINE_SOCKET: spec.socket };
    this.#mark = { environment, output: this.#output };
    this.#hindrances = openHindrances(options.report);
    this.#connection = connectionTo('http://localhost', spec.socket);
    this.dispatcher = this.#connection.dispatcher;
    this.origin = this.#connection.origin;
  }

  perform(order: Order, deliver: (event: Event) => void): void {
    const { life } = order;
    /** The one place where the work's end, good or bad, becomes an event. */
    const answer = (work: Promise<Event>, failed: (cause: string) => Event): void =>
      void work.catch((error: unknown) => failed(messageOf(error))).then(deliver);
    switch (order.type) {
      case 'adopt':
        return answer(this.#adopt(life, deliver), () => ({ type: 'adopt.none', life }));
      case 'spawn':
        return answer(this.#spawn(life, deliver), (cause) => ({ type: 'spawn.failed', life, cause }));
      case 'probe':
        return answer(this.#probe(life), () => ({ type: 'probed', life, healthy: false, models: [] }));
      case 'warm':
        return answer(this.#warm(life, order.model), (cause) => ({ type: 'warm.failed', life, cause }));
      case 'sample':
        return answer(this.#sample(life), (cause) => ({ type: 'sample.failed', life, cause }));
      case 'check':
        return answer(this.#check(life), () => ({ type: 'checked', life, isDead: false, cause: null }));
      case 'terminate':
        return this.#terminate(life);
      case 'kill':
        return this.#kill(life);
      case 'sweep':
        return answer(this.#sweep(life), () => ({ type: 'swept', life, left: 1 }));
    }
  }

  async release(): Promise<void> {
    this.#living?.release();
    this.#living?.gone.abort();
    this.#living = null;
    await this.#connection.close();
  }

  /** Only a process that is the one in the ledger, carries the mark, and was started by the same spec is ours. */
  async #adopt(life: number, deliver: (event: Event) => void): Promise<Event> {
    const { processes, spec } = this.#options;
    const entry = await readLedger(this.#ledger);
    const found = await processes.marked(this.#mark);
    const process = found.find(({ pid, start }) => pid === entry?.pid && start === entry.start);
    if (process === undefined || entry?.digest !== digestOf(spec)) return { type: 'adopt.none', life };
    const living = this.#begin(life, process, { causeFrom: await sizeOf(this.#output), isRecorded: true });
    this.#watch(living, deliver);
    return { type: 'adopted', life, pid: process.pid };
  }

  async #spawn(life: number, deliver: (event: Event) => void): Promise<Event> {
    const { spec, inherited, processes } = this.#options;
    this.#begun = life;
    await this.#removing;
    // vLLM does not start where a file of that name is.
    await rm(spec.socket, { force: true });
    if (spec.scratch !== null) await mkdir(spec.scratch, { recursive: true, mode: 0o700 });
    await turnOver(this.#output);
    // From here to the process there is no waiting: a sweep either finds it or keeps it from being.
    if (life <= this.#condemned) throw new Failure('late', `start ${spec.command}: late: ordered to end`);
    const env = { ...inherited, ...spec.env, ...this.#mark.environment };
    const launched = await processes.launch({ ...spec, env, output: this.#output });
    const { pid, start } = launched;
    const living = this.#begin(life, { pid, start }, { release: () => launched.release() });
    void launched.exited.then((exit) => this.#ended(living, exit, deliver));
    await this.#record(living);
    return { type: 'spawned', life, pid };
  }

  #begin(life: number, process: Process, known: Partial<Living>): Living {
    const unknown = { release: () => {}, causeFrom: 0, isRecorded: false };
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#ending = promise;
    this.#living = { ...unknown, ...known, life, process, gone: new AbortController(), ended: resolve };
    return this.#living;
  }

  async #record(living: Living): Promise<void> {
    const entry = { ...living.process, digest: digestOf(this.#options.spec) };
    const written = writeLedger(this.#ledger, entry).then(() => void (living.isRecorded = true));
    await this.#hindered('ledger', written);
  }

  /** What is to be seen to while it runs, and what did not work before. */
  async #tend(life: number): Promise<void> {
    await this.#hindered('output', keepBounded(this.#output));
    const living = this.#living;
    if (living?.life === life && !living.isRecorded) await this.#record(living);
  }

  #watch(living: Living, deliver: (event: Event) => void): void {
    const { pid, start } = living.process;
    const look = (): void => {
      if (living.gone.signal.aborted) return clearInterval(timer);
      let isThere: boolean;
      try {
        isThere = this.#options.processes.startOf(pid) === start;
      } catch (error) {
        // Out of descriptors, for one: that says nothing of the engine, and the next look is near.
        return this.#hindrances.failed('watch', error);
      }
      this.#hindrances.worked('watch');
      if (isThere) return;
      clearInterval(timer);
      void this.#ended(living, { code: null, signal: null }, deliver);
    };
    const timer = setInterval(look, watchMs);
  }

  async #ended(living: Living, exit: Exit, deliver: (event: Event) => void): Promise<void> {
    if (this.#living === living) this.#living = null;
    this.#over = Math.max(this.#over, living.life);
    living.gone.abort();
    deliver({ type: 'exited', life: living.life, ...exit, cause: await this.#causeOf(living) });
    living.ended();
  }

  #causeOf(living: Living | null): Promise<string | null> {
    return readCause(this.#output, living?.causeFrom ?? 0).catch(messageOf);
  }

  async #probe(life: number): Promise<Event> {
    await this.#tend(life);
    return { type: 'probed', life, ...(await probe(this.#connection.questions, this.#signal(life))) };
  }

  async #warm(life: number, model: string): Promise<Event> {
    if (this.#options.spec.warmUp) await warmUp(this.#connection.questions, model, this.#signal(life));
    const causeFrom = await sizeOf(this.#output);
    if (this.#living?.life === life) this.#living.causeFrom = causeFrom;
    const { repeatable } = this.#options.spec;
    const found = await examine(this.#connection.questions, model, this.#signal(life));
    return { type: 'warmed', life, ability: { ...found, repeatable } };
  }

  async #sample(life: number): Promise<Event> {
    await this.#tend(life);
    return { type: 'sampled', life, metrics: await sample(this.#connection.questions, this.#signal(life)) };
  }

  async #check(life: number): Promise<Event> {
    const living = this.#living;
    const health = await healthOf(this.#connection.questions, this.#signal(life));
    const isOver = health === 'gone' || life <= this.#over;
    if (isOver) await Promise.race([this.#ending, wait(endMs, null, { ref: false })]);
    const dead = isOver || isDead(health);
    return { type: 'checked', life, isDead: dead, cause: dead ? await this.#causeOf(living) : null };
  }

  #signal(life: number): AbortSignal {
    return this.#living?.life === life ? this.#living.gone.signal : AbortSignal.abort();
  }

  #terminate(life: number): void {
    const living = this.#living;
    if (living?.life !== life) return;
    // Who could not be asked to go is killed a moment later.
    const ask = async (): Promise<boolean> => this.#options.processes.signal(living.process, 'SIGTERM');
    void this.#hindered('kill', ask());
  }

  #kill(life: number): void {
    this.#condemned = life;
    if (this.#living?.life === life) this.#killing = this.#hindered('kill', this.#strike(life, false));
  }

  /**
   * Ends everything that carries the mark, and removes what it leaves behind. Never more than `sweepMs`, and no more
   * once the next engine is begun: by their mark nobody could tell it from what is left of this one.
   */
  async #sweep(life: number): Promise<Event> {
    const { processes } = this.#options;
    this.#condemned = life;
    await this.#killing;
    const begun = performance.now();
    const seen = new Map<string, Process>();
    for (;;) {
      const sinceMs = performance.now() - begun;
      const found = await this.#strike(life, sinceMs > trackerMs);
      for (const target of found) seen.set(`${target.pid} ${target.start}`, target);
      // A dying process loses its environment, and with it the mark, before it lets go of the GPU.
      const left = [...seen.values()].filter(({ pid, start }) => processes.startOf(pid) === start).length;
      if (this.#begun > life) return { type: 'swept', life, left };
      const isDone = left === 0 && found.length === 0;
      if (!isDone && sinceMs < sweepMs) {
        await wait(sweepLookMs);
        continue;
      }
      this.#living = null;
      const removing = this.#removeLeftovers();
      this.#removing = Promise.allSettled([removing]);
      await removing;
      return { type: 'swept', life, left };
    }
  }

  #removeLeftovers(): Promise<unknown> {
    const { socket, scratch } = this.#options.spec;
    const leftovers = [socket, this.#ledger, ...(scratch === null ? [] : [scratch])];
    return Promise.all(leftovers.map((path) => rm(path, { recursive: true, force: true })));
  }

  /**
   * SIGKILL to all that carries the mark, Python's resource trackers only if told so; returns what it found. Nothing is
   * struck when the next engine was begun meanwhile.
   */
  async #strike(life: number, trackersToo: boolean): Promise<readonly Process[]> {
    const { processes } = this.#options;
    const found = await processes.marked(this.#mark);
    if (this.#begun > life) return found;
    for (const target of found) {
      if (trackersToo || !tracker.test(target.command)) processes.signal(target, 'SIGKILL');
    }
    return found;
  }

  async #hindered(what: Hindered, work: Promise<unknown>): Promise<void> {
    await work.then(
      () => this.#hindrances.worked(what),
      (error: unknown) => this.#hindrances.failed(what, error),
    );
  }
}
