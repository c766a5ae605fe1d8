/**
 * Whether a node that says nothing is alive. Who waits in its queue hears nothing either, and the kernel of a frozen one
 * still accepts connections: so it is asked for its health by another request, to which any answer is one.
 */
import type { Settings } from './settings.ts';

/** A browser has so many connections to one node over HTTP/1.1: a question would wait for one of them. */
const connectionsMax = 6;

/** If it was us who stood still, the answer is there by then: timers come before it. ms */
const graceMs = 50;

type Question = { readonly askedAt: number; readonly isAlive: Promise<boolean> };

export class Life {
  readonly #entry: string;
  #open = 0;
  /** The newest one, for all that wait for this node. */
  #question: Question | null = null;

  constructor(entry: string) {
    this.#entry = entry;
  }

  /** One more request is there. Call the result when its connection is free again. */
  opened(): () => void {
    this.#open += 1;
    let isOpen = true;
    return () => {
      if (isOpen) this.#open -= 1;
      isOpen = false;
    };
  }

  /** Calls back once, when the node does not answer; the result stops it. */
  watch(settings: Pick<Settings, 'fetch' | 'lookMs'>, onSilence: () => void): () => void {
    let isOver = false;
    const look = async (): Promise<void> => {
      const isAlive = !this.#mayAsk() || (await this.#isAlive(settings));
      if (isOver) return;
      if (isAlive) timer = setTimeout(() => void look(), settings.lookMs);
      else onSilence();
    };
    let timer = setTimeout(() => void look(), settings.lookMs);
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }

  #mayAsk(): boolean {
    return !('location' in globalThis) || this.#open < connectionsMax;
  }

  #isAlive(settings: Pick<Settings, 'fetch' | 'lookMs'>): Promise<boolean> {
    const now = performance.now();
    if (this.#question === null || now - this.#question.askedAt >= settings.lookMs)
      this.#question = { askedAt: now, isAlive: answers(this.#entry, settings) };
    return this.#question.isAlive;
  }
}

/** Of another origin, whatever that one allows pages: what it says is not read. */
async function answers(
  entry: string,
  { fetch, lookMs }: Pick<Settings, 'fetch' | 'lookMs'>,
): Promise<boolean> {
  const ending = new AbortController();
  let late = setTimeout(() => {
    late = setTimeout(() => ending.abort(), graceMs);
  }, lookMs);
  try {
    const url = `${entry.replace(/\/v1$/, '')}/healthz`;
    await fetch(url, { mode: 'no-cors', cache: 'no-store', signal: ending.signal });
    return true;
  } catch {
    return false; // Refused or silent: no answer comes from there.
  } finally {
    clearTimeout(late);
    ending.abort();
  }
}
