/**
 * How many answers are looked for at once, by key: any words that look like a place in an answer make this node ask
 * several others for its log.
 */
import { once } from '../node/once.ts';

/** The clients of one key that a node of eight loses, when it had almost two thousand, come to each of the others. */
const searchesMax = 256;

type Searches = {
  /** What to call when one search is over; null: too many of this name are not. */
  begin(name: string): (() => void) | null;
};

export function openSearches(): Searches {
  const searching = new Map<string, number>();

  function end(name: string): void {
    const left = (searching.get(name) ?? 0) - 1;
    if (left > 0) searching.set(name, left);
    else searching.delete(name);
  }

  return {
    begin: (name) => {
      const count = searching.get(name) ?? 0;
      if (count >= searchesMax) return null;
      searching.set(name, count + 1);
      return once(() => end(name));
    },
  };
}
