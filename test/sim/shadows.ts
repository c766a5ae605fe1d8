/**
 * What was really wrong with the paths, and since when: the truth that verdicts are held against. A shadow lies on the
 * pairs of hosts whose packets a fault may have kept, and stays a while after the fault is over, because evidence that
 * was true when it was gathered may be acted on a moment later.
 */
import type { Host } from './terrain.ts';

type Shadow = { readonly covers: (a: Host, b: Host) => boolean; until: number };

/** Two seconds for which a vote stands, the ladder before it, and the retransmissions behind it, ms. */
const afterglowMs = 5_000;
/** How long it is remembered where shadows lay. */
const memoryMs = 60_000;

export class Shadows {
  #all: Shadow[] = [];
  #endedAt = 0;

  /** Until the returned function is called, at the instant handed to it. */
  cast(covers: (a: Host, b: Host) => boolean): (now: number) => void {
    this.#all = this.#all.filter(({ until }) => until > this.#endedAt - memoryMs);
    const shadow: Shadow = { covers, until: Infinity };
    this.#all.push(shadow);
    return (now) => {
      shadow.until = now + afterglowMs;
      this.#endedAt = now;
    };
  }

  /** Whether packets between the two may have been kept, now or a moment ago. */
  lies(a: Host, b: Host, now: number): boolean {
    return this.layBetween(a, b, now);
  }

  /** Whether they may have been kept since then. */
  layBetween(a: Host, b: Host, since: number): boolean {
    return this.#all.some(({ covers, until }) => until > since && (covers(a, b) || covers(b, a)));
  }
}
