/**
 * Collections of what soon leaves again, such as requests under way, each of which holds much else. A Map or Set of
 * JavaScript would keep that from the garbage collector: whenever V8 tidies one up it makes a new table, to which the
 * former one points, with all that it held still in it. A table that has grown old before it is dropped counts as alive in
 * every collection of what is young, and so do all tables after it and everything that was ever in them, until the next
 * full collection. At 300 requests a second most of what requests were made of was moved to the old heap in that way.
 *
 * Here everything is in a box, which is emptied when it leaves: what tables hold on to are empty boxes.
 */
type Box<T> = { one: T | null };

const full = <T>({ one }: Box<T>): T[] => (one === null ? [] : [one]);

export class FleetingSet<T extends object> {
  readonly #boxes = new Set<Box<T>>();

  get size(): number {
    return this.#boxes.size;
  }

  /** Call the result when it leaves; more than once changes nothing. */
  add(one: T): () => void {
    const box: Box<T> = { one };
    this.#boxes.add(box);
    return () => {
      this.#boxes.delete(box);
      box.one = null;
    };
  }

  /** As they are now, in the order of their coming. */
  all(): readonly T[] {
    return [...this.#boxes].flatMap(full);
  }
}

export class FleetingMap<T extends object> {
  readonly #boxes = new Map<number, Box<T>>();

  get size(): number {
    return this.#boxes.size;
  }

  get(key: number): T | undefined {
    return this.#boxes.get(key)?.one ?? undefined;
  }

  set(key: number, one: T): void {
    this.#boxes.set(key, { one });
  }

  delete(key: number): void {
    const box = this.#boxes.get(key);
    if (box === undefined) return;
    this.#boxes.delete(key);
    box.one = null;
  }

  /** As they are now, in the order of their coming. */
  all(): readonly T[] {
    return [...this.#boxes.values()].flatMap(full);
  }
}
