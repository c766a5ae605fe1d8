/**
 * One bucket of S3, as far as leases need it: linearizable, conditional writes, and all the ways in which an answer can
 * fail to say what happened: 503 before anything is done, 409 when two writes meet, a latency tail, and the worst one,
 * a write that was applied and whose answer is lost.
 */
import type { Document, LeaseStore, Written } from '../../src/node/ports.ts';
import { Failure } from '../../src/std/failure.ts';
import type { Dice } from './dice.ts';
import type { SimProcess } from './process.ts';
import type { EventQueue } from './queue.ts';
import type { Turn } from './turn.ts';

/** Usual way there and back, and the rare slow one, ms. */
const usualMs = { least: 4, most: 25 };
const tailMs = { least: 300, most: 4_000 };
/** Two conditional writes of one key this close together may meet, ms. */
const meetMs = 5;

/** A write that was applied, in true order and at the true time. */
export type Applied = {
  readonly at: number;
  readonly key: string;
  readonly body: string;
  readonly by: SimProcess;
};

export class SimS3 {
  out = false;
  /** Of all requests. */
  slow = 0.01;
  unavailable = 0;
  /** Of all answers to writes that were applied. */
  lostAnswers = 0;
  readonly #objects = new Map<string, Document & { readonly at: number }>();
  readonly #queue: EventQueue;
  readonly #dice: Dice;
  readonly #turn: Turn;
  readonly #onApplied: (applied: Applied) => void;
  #etags = 0;

  constructor(parts: { queue: EventQueue; dice: Dice; turn: Turn }, onApplied: (applied: Applied) => void) {
    this.#queue = parts.queue;
    this.#dice = parts.dice;
    this.#turn = parts.turn;
    this.#onApplied = onApplied;
  }

  storeOf(process: SimProcess): LeaseStore {
    return {
      read: (key, signal) => this.#request(process, signal, () => this.#objects.get(key) ?? null),
      create: (key, body, signal) => this.#write(process, signal, { key, body, over: null }),
      replace: (key, { body, etag }, signal) => this.#write(process, signal, { key, body, over: etag }),
    };
  }

  #write(
    process: SimProcess,
    signal: AbortSignal,
    { key, body, over }: { readonly key: string; readonly body: string; readonly over: string | null },
  ): Promise<Written> {
    return this.#request<Written>(process, signal, (lose) => {
      const stored = this.#objects.get(key);
      const { now } = this.#queue;
      if ((stored?.etag ?? null) !== over) {
        const recent = stored !== undefined && now - stored.at < meetMs;
        return { type: recent && this.#dice.hits(0.5) ? 'conflict' : 'unmet' };
      }
      const etag = `"${++this.#etags}"`;
      this.#objects.set(key, { body, etag, at: now });
      this.#onApplied({ at: now, key, body, by: process });
      if (this.#dice.hits(this.lostAnswers)) lose();
      return { type: 'written', etag };
    });
  }

  /** Happens at the store half-way, whether or not whoever asked still runs when the answer comes. */
  #request<T>(process: SimProcess, signal: AbortSignal, act: (lose: () => void) => T): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const range = this.#dice.hits(this.slow) ? tailMs : usualMs;
    const ms = this.#dice.between(range.least, range.most);
    const { now } = this.#queue;
    const settle = (how: () => void): void => {
      this.#turn.note();
      how();
    };
    const late = (): void => settle(() => reject(new Failure('late', 's3: late')));
    signal.addEventListener('abort', late, { once: true });
    const arrive = (): void => {
      let isLost = this.out;
      const failed = this.#dice.hits(this.unavailable);
      const answer = isLost || failed ? null : act(() => (isLost = true));
      if (isLost) return; // The caller's own deadline tells it that it does not know.
      process.receive(this.#queue.now + ms / 2, () =>
        settle(() => (failed ? reject(new Failure('busy', 's3: busy: 503')) : resolve(answer as T))),
      );
    };
    this.#queue.push(now + ms / 2, { fire: arrive }, 0, null, null);
    return this.#turn.promise(promise);
  }
}
