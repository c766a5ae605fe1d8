/** The nodes that may be asked, and in which order: in turn, and those that failed a moment ago last. */
import { absolute } from './asked.ts';
import { Life } from './life.ts';

/**
 * So long a node that failed is asked last, ms: a restart, or the end of its load balancer's patience; twice as long
 * each time that it fails after its rest, since a frozen one costs seconds.
 */
const restMs = { first: 5_000, max: 60_000 };

export class Entries {
  /** Absolute, without a slash at the end. */
  readonly urls: readonly string[];
  readonly #rests = new Map<string, { readonly ms: number; readonly until: number }>();
  readonly #lives: ReadonlyMap<string, Life>;
  readonly #now: () => number;
  #turn: number;

  /** Throws a TypeError where there is none, or one is no URL. */
  constructor(urls: readonly string[], now: () => number) {
    this.#now = now;
    this.urls = [...new Set(urls.map((url) => absolute(url).replace(/\/+$/, '')))];
    if (this.urls.length === 0) throw new TypeError('durableFetch: at least one URL is needed');
    this.#lives = new Map(this.urls.map((url) => [url, new Life(url)]));
    this.#turn = Math.floor(Math.random() * this.urls.length);
  }

  /** All of them; each call begins with another one, so that requests spread. */
  inTurn(): readonly string[] {
    const first = this.#turn++ % this.urls.length;
    const order = [...this.urls.slice(first), ...this.urls.slice(0, first)];
    const now = this.#now();
    const rested = (url: string): boolean => (this.#rests.get(url)?.until ?? -Infinity) < now;
    return [...order.filter(rested), ...order.filter((url) => !rested(url))];
  }

  failed(url: string): void {
    const now = this.#now();
    const last = this.#rests.get(url);
    // Requests that fail there together are one failure.
    const ms = last === undefined ? restMs.first : last.until < now ? 2 * last.ms : last.ms;
    const rest = Math.min(ms, restMs.max);
    this.#rests.set(url, { ms: rest, until: now + rest });
  }

  answered(url: string): void {
    this.#rests.delete(url);
  }

  /** Of one of `urls`. */
  lifeOf(url: string): Life {
    return this.#lives.get(url)!;
  }
}
