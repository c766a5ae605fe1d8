/** Waits for something to come true, and looks whenever it is told that something has changed. */
export class Condition {
  readonly #waiting = new Set<() => void>();

  /** Something changed. */
  tell(): void {
    for (const look of [...this.#waiting]) look();
  }

  /** Resolves true once `holds` does, and false when it does not in time. */
  until(holds: () => boolean, withinMs: number): Promise<boolean> {
    if (holds()) return Promise.resolve(true);
    return new Promise((resolve) => {
      const done = (held: boolean): void => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve(held);
      };
      const look = (): void => void (holds() && done(true));
      const timer = setTimeout(() => done(false), withinMs);
      this.#waiting.add(look);
    });
  }
}
