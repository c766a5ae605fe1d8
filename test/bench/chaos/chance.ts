/** The dice of a run: what is drawn follows from `--seed`, when it happens from the machine. */
import { draw, type Rng } from '../../../src/std/random.ts';

export class Chance {
  #rng: Rng;

  constructor(seed: number) {
    this.#rng = { seed };
  }

  /** A whole number, both ends included. */
  between(min: number, max: number): number {
    const [value, next] = draw(this.#rng, max - min + 1);
    this.#rng = next;
    return min + value;
  }

  of<T>(some: readonly T[]): T {
    return some[this.between(0, some.length - 1)]!;
  }

  /** Dice of their own for who draws at moments that the machine decides. */
  fork(): Chance {
    return new Chance(this.between(0, 2 ** 31));
  }

  /** Takes it out. */
  take<T>(some: T[]): T {
    return some.splice(this.between(0, some.length - 1), 1)[0]!;
  }

  exponential(mean: number): number {
    return -Math.log((this.between(0, 999_999) + 1) / 1_000_000) * mean;
  }
}
