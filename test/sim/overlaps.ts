/**
 * Faults of one kind that overlap. None ends another one early: while any stands, the worst of them holds, and what was
 * there before the first comes back with the end of the last.
 */
type Severity = number | boolean;
type Imposed = { readonly usual: Severity; readonly values: Severity[] };

export class Overlaps {
  readonly #imposed = new Map<object, Map<string, Imposed>>();

  /** Sets `target[name]` until the returned function is called. */
  impose<V extends Severity, K extends string>(target: Record<K, V>, name: K, value: V): () => void {
    const ofTarget = this.#imposed.get(target) ?? new Map<string, Imposed>();
    this.#imposed.set(target, ofTarget);
    const { usual, values } = ofTarget.get(name) ?? { usual: target[name], values: [] };
    ofTarget.set(name, { usual, values });
    values.push(value);
    target[name] = worstOf(values) as V;
    return () => {
      values.splice(values.indexOf(value), 1);
      target[name] = (values.length > 0 ? worstOf(values) : usual) as V;
      if (values.length === 0) ofTarget.delete(name);
    };
  }
}

const worstOf = (values: readonly Severity[]): Severity =>
  values.reduce((worst, value) => (value > worst ? value : worst));

/** What is there until all who put it there have taken it away again. */
export class Bag<T> {
  readonly #counts = new Map<T, number>();

  get isEmpty(): boolean {
    return this.#counts.size === 0;
  }

  has(one: T): boolean {
    return this.#counts.has(one);
  }

  put(one: T): () => void {
    this.#counts.set(one, (this.#counts.get(one) ?? 0) + 1);
    return () => {
      const count = this.#counts.get(one)! - 1;
      if (count > 0) this.#counts.set(one, count);
      else this.#counts.delete(one);
    };
  }
}
