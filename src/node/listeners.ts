/** Who wants to hear of one thing. A listener that unsubscribes while it is told is not told again. */
export type Listeners<A extends readonly unknown[]> = {
  add(listener: (...args: A) => void): () => void;
  tell(...args: A): void;
};

export function listeners<A extends readonly unknown[]>(): Listeners<A> {
  const all = new Set<(...args: A) => void>();
  return {
    add: (listener) => {
      all.add(listener);
      return () => void all.delete(listener);
    },
    tell: (...args) => {
      for (const listener of [...all]) if (all.has(listener)) listener(...args);
    },
  };
}
