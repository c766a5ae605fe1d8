/**
 * When promises have to be let run: between two events of the queue, and only if one can have moved, because a turn of
 * the event loop costs as much as several events. Whoever settles a promise, or hands out one that is settled, notes it.
 */
export class Turn {
  #moved = false;
  /** Questions put to a node whose answer may come with any event. */
  #asking = 0;
  #asideAt = -1;

  note(): void {
    this.#moved = true;
  }

  promise<T>(promise: Promise<T>): Promise<T> {
    this.#moved = true;
    return promise;
  }

  async asking<T>(promise: Promise<T>): Promise<T> {
    this.#moved = true;
    this.#asking++;
    try {
      return await promise;
    } finally {
      this.#asking--;
    }
  }

  /** Whether the event loop has to turn before the next event; asked once for each event. */
  isDue(now: number): boolean {
    if (this.#moved) {
      this.#moved = false;
      return true;
    }
    if (this.#asking === 0 || now - this.#asideAt < 1) return false;
    this.#asideAt = now;
    return true;
  }
}

export const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
