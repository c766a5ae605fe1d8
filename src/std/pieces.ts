/**
 * Bytes that come in as many pieces as whoever sends them likes, of a byte each perhaps. Whatever its size each piece costs
 * some 250 bytes of heap, or keeps all alive that came with it: so they are put together as they come.
 */
const piecesMax = 256;

export class Pieces {
  #joined: Buffer[] = [];
  /** As they came. */
  #pieces: Buffer[] = [];

  add(piece: Buffer): void {
    if (this.#pieces.push(piece) < piecesMax) return;
    this.#joined.push(Buffer.concat(this.#pieces));
    this.#pieces = [];
  }

  /** All of them; one alone is what came, and no copy. */
  all(): Buffer {
    const all = [...this.#joined, ...this.#pieces];
    const [first] = all;
    return first !== undefined && all.length === 1 ? first : Buffer.concat(all);
  }

  clear(): void {
    this.#joined = [];
    this.#pieces = [];
  }
}
