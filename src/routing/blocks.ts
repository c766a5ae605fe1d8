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
export const charactersMax = blocksMax * blockCharacters;

const highPrime = 0x01000193;
const lowPrime = 0x5bd1e995;

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

/** A class because it keeps four numbers from text to text; in the loop, which sees every character, they are local. */
class Chain {
  readonly blocks: number[] = [];
  #high = 0x811c9dc5;
  #low = 0x9747b28c;
  #room = blockCharacters;

  absorb(text: string): void {
    for (let i = 0; i < text.length; i++) this.#mix(text.charCodeAt(i));
  }

  fill(text: string): void {
    let from = 0;
    while (this.blocks.length < blocksMax) {
      const to = Math.min(text.length, from + this.#room);
      this.#mixAll(text, from, to);
      this.#room -= to - from;
      from = to;
      if (this.#room > 0) break;
      this.#room = blockCharacters;
      this.blocks.push(number(this.#high, this.#low));
    }
    // The end of a text tells: `ab`, `c` is not `a`, `bc`.
    this.#mix(0x1_0000);
  }

  #mixAll(text: string, from: number, to: number): void {
    let high = this.#high;
    let low = this.#low;
    // Two characters at a time: what costs is one multiplication waiting for the other.
    for (let i = from; i < to; i += 2) {
      const code = text.charCodeAt(i) | (i + 1 < to ? text.charCodeAt(i + 1) << 16 : 0);
      high = Math.imul(high ^ code, highPrime);
      low = Math.imul(low ^ code ^ (low >>> 15), lowPrime);
    }
    this.#high = high;
    this.#low = low;
  }

  #mix(code: number): void {
    this.#high = Math.imul(this.#high ^ code, highPrime);
    this.#low = Math.imul(this.#low ^ code ^ (this.#low >>> 15), lowPrime);
  }
}

const number = (high: number, low: number): number => (high >>> 11) * 2 ** 32 + (low >>> 0);
