/**
 * Which prompts the engine has read before, in blocks as vLLM keeps them: a block is named by the hash of all ids up
 * to its end, so equal names mean equal beginnings. Only names are kept; the oldest go first.
 */
import { dropOldest } from '../../std/bounded.ts';
import { beginning, extend } from './model.ts';

/** As on vLLM's CPU build; a GPU has 16. */
export const blockTokens = 128;
/** What the simulated memory holds: 4,096 blocks of 128 tokens, 64 contexts of 8,192. */
export const blocksMax = 4096;

export class PrefixCache {
  /** In order of last use. */
  readonly #names = new Set<number>();

  /** Returns how many leading tokens need no computing, and remembers the prompt. The last token always does. */
  admit(promptIds: readonly number[]): number {
    let cached = 0;
    let context = beginning;
    let unbroken = true;
    for (let end = blockTokens; end < promptIds.length; end += blockTokens) {
      for (const id of promptIds.slice(end - blockTokens, end)) context = extend(context, id);
      unbroken &&= this.#names.delete(context.hash);
      if (unbroken) cached = end;
      this.#names.add(context.hash);
    }
    dropOldest(this.#names, blocksMax);
    return cached;
  }
}
