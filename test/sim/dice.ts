/**
 * Chance in the simulator, one generator for each concern, so that a drawn latency does not change which fault comes
 * next. Mutable, unlike the machines' own: nothing here is ever rolled back.
 */
import { draw } from '../../src/std/random.ts';

export class Dice {
  #seed: number;

  constructor(seed: number) {
    this.#seed = seed >>> 0;
  }

  /** A generator of its own for a concern, or for one thing of many. */
  for(concern: string | number): Dice {
    let mixed = this.#seed ^ 0x5bd1e995;
    for (const char of String(concern)) mixed = Math.imul(mixed ^ char.charCodeAt(0), 0x01000193);
    return new Dice(mixed).#stirred();
  }

  /** In [0, 1). The arithmetic of `draw`, without its two values: this is called for every message. */
  unit(): number {
    const seed = (this.#seed + 0x9e3779b9) >>> 0;
    this.#seed = seed;
    let z = Math.imul(seed ^ (seed >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
  }

  /** An integer in [0, bound). */
  below(bound: number): number {
    return Math.floor(this.unit() * bound);
  }

  between(low: number, high: number): number {
    return low + this.unit() * (high - low);
  }

  /** Whether something that happens with this probability happens. Certain outcomes cost no draw. */
  hits(probability: number): boolean {
    return probability > 0 && (probability >= 1 || this.unit() < probability);
  }

  pick<T>(from: readonly T[]): T {
    const picked = from[this.below(from.length)];
    if (picked === undefined) throw new Error('nothing to pick from');
    return picked;
  }

  shuffled<T>(from: readonly T[]): T[] {
    const all = [...from];
    for (let i = all.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [all[i], all[j]] = [all[j]!, all[i]!];
    }
    return all;
  }

  /** A seed for a machine of the node. */
  seed(): number {
    return draw({ seed: this.below(2 ** 32) }, 2 ** 32)[0];
  }

  #stirred(): this {
    this.unit();
    return this;
  }
}
