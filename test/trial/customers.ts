/**
 * Clients that ask one after another for as long as the trial runs, each answer checked to its last token. Like a
 * load balancer, they keep away from a node from the moment before it is taken down until it is back.
 */
import { setTimeout as pause } from 'node:timers/promises';
import OpenAI from 'openai';
import { openStreams } from '../cluster/streams.ts';
import type { Daemon } from '../lab/daemon.ts';

export type Answers = { readonly answered: number; readonly failed: number };

type Outcome = { readonly at: number; readonly failure: string | null };

/** About a second at the simulated engine's pace. */
const tokens = 50;
const pauseMs = 50;

export class Customers {
  readonly avoided = new Set<Daemon>();
  readonly #outcomes: Outcome[] = [];
  readonly #done: Promise<unknown>;
  #isOpen = true;

  /** As many at a time as `lanes`, over these nodes in turn. */
  constructor(entries: readonly Daemon[], lanes: number) {
    this.#done = Promise.all(Array.from({ length: lanes }, (_, lane) => this.#ask(entries, lane)));
  }

  /** Of requests that ended from `since` on, performance.now(). */
  answers(since: number): Answers {
    const ended = this.#outcomes.filter(({ at }) => at >= since);
    const failed = ended.filter(({ failure }) => failure !== null).length;
    return { answered: ended.length - failed, failed };
  }

  failures(): readonly string[] {
    return this.#outcomes.flatMap(({ failure }) => failure ?? []);
  }

  async close(): Promise<void> {
    this.#isOpen = false;
    await this.#done;
  }

  async #ask(entries: readonly Daemon[], lane: number): Promise<void> {
    for (let turn = lane; this.#isOpen; turn++) {
      const next = (): Daemon => {
        const open = entries.filter((entry) => !this.avoided.has(entry));
        return open[turn % open.length]!;
      };
      const first = await failureOf(next());
      const failure = first === turnedAway ? await failureOf(next()) : first;
      this.#outcomes.push({ failure, at: performance.now() });
      await pause(pauseMs);
    }
  }
}

/** It came in the moment in which the node began to leave. Clients ask again then, and the official one by itself. */
const turnedAway = 'turned away';

/** null: answered in full. */
async function failureOf(entry: Daemon): Promise<string | null> {
  try {
    await openStreams([entry], { count: 1, tokens }).done;
    return null;
  } catch (error) {
    if (error instanceof OpenAI.APIError && error.status === 503) return turnedAway;
    return `node ${entry.index} at ${new Date().toISOString()}: ${String(error)}`;
  }
}
