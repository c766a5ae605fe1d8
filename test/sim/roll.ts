/**
 * What is remembered of each member by each other one, a million pairs of them in a large run: by numbers that all nodes
 * share, because a table of its own in every node is most of what such a run waits for.
 */
export class Roll {
  readonly #numbers = new Map<string, number>();

  numberOf(id: string): number {
    const known = this.#numbers.get(id);
    if (known !== undefined) return known;
    this.#numbers.set(id, this.#numbers.size);
    return this.#numbers.size - 1;
  }
}

/** Which of all members. */
export class Marks {
  size = 0;
  #marked = new Uint8Array(64);

  has(number: number): boolean {
    return this.#marked[number] === 1;
  }

  set(number: number, isMarked: boolean): void {
    if (number >= this.#marked.length) {
      const wider = new Uint8Array(2 * number);
      wider.set(this.#marked);
      this.#marked = wider;
    }
    if (this.has(number) === isMarked) return;
    this.#marked[number] = isMarked ? 1 : 0;
    this.size += isMarked ? 1 : -1;
  }
}
