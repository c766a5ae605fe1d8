/** The nodes that may be asked, and in which order: in turn, and those that failed a moment ago last. */
import { absolute } from './asked.ts';

/** So long a node that failed is asked last, ms: a restart, or the end of its load balancer's patience. */
const restMs = 5_000;

export class Entries {
  /** Absolute, without a slash at the end. */
  readonly urls: readonly string[];
  readonly #failedAt = new Map<string, number>();
  #turn: number;

  /** Throws a TypeError where there is none, or one is no URL. */
  constructor(urls: readonly string[]) {
    this.urls = [...new Set(urls.map((url) => absolute(url).replace(/\/+$/, '')))];
    if (this.urls.length === 0) throw new TypeError('durableFetch: at least one URL is needed');
    this.#turn = Math.floor(Math.random() * this.urls.length);
  }

  /** All of them; each call begins with another one, so that requests spread. */
  inTurn(): readonly string[] {
    const first = this.#turn++ % this.urls.length;
    const order = [...this.urls.slice(first), ...this.urls.slice(0, first)];
    const rested = (url: string): boolean =>
      performance.now() - (this.#failedAt.get(url) ?? -Infinity) > restMs;
    return [...order.filter(rested), ...order.filter((url) => !rested(url))];
  }

  failed(url: string): void {
    this.#failedAt.set(url, performance.now());
  }

  answered(url: string): void {
    this.#failedAt.delete(url);
  }
}
