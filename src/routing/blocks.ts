/**
 * A prompt as a chain of blocks: each block's hash covers everything before it, so two prompts share a hash exactly as
 * far as they share their beginning. It is what an engine's prefix cache does with token ids; an entry node has no
 * tokenizer, and equal text is equal ids.
 *
 * The hash is not a secret and need not be: who makes two prompts collide sends both to one member, no more.
 */

/** Block hashes, first block first; each is an integer below 2^53. What does not fill a block has none. */
export type Blocks = readonly number[];

/** Some 256 tokens: less of a prompt costs an engine a few milliseconds, which no detour is worth. */
const blockCharacters = 1_024;
/** Half a megabyte of text. What lies behind it goes where its beginning goes. */
const blocksMax = 512;

const primes = { high: 0x01000193, low: 0x5bd1e995 };

/** `scope`: what must be equal besides the text for anything to be shared: the model, a cache salt. */
export function blocksOf(scope: string, texts: Iterable<string>): Blocks {
  const chain = new Chain();
  chain.absorb(scope);
  for (const text of texts) {
    if (chain.blocks.length >= blocksMax) break;
    chain.fill(text);
  }
  return chain.blocks;
}

/** A class because its loop runs over every character of every prompt, and keeps four numbers while it does. */
class Chain {
  readonly blocks: number[] = [];
  #high = 0x811c9dc5;
  #low = 0x9747b28c;
  #filled = 0;

  absorb(text: string): void {
    for (let i = 0; i < text.length; i++) this.#mix(text.charCodeAt(i));
  }

  /** The end of a text counts as a character of its own: `ab`, `c` is not `a`, `bc`. */
  fill(text: string): void {
    for (let i = 0; i <= text.length; i++) {
      this.#mix(i < text.length ? text.charCodeAt(i) : 0x1_0000);
      this.#filled += 1;
      if (this.#filled < blockCharacters) continue;
      this.#filled = 0;
      this.blocks.push(number(this.#high, this.#low));
      if (this.blocks.length >= blocksMax) return;
    }
  }

  #mix(code: number): void {
    this.#high = Math.imul(this.#high ^ code, primes.high);
    this.#low = Math.imul(this.#low ^ code ^ (this.#low >>> 15), primes.low);
  }
}

const number = (high: number, low: number): number => (high >>> 11) * 2 ** 32 + (low >>> 0);
