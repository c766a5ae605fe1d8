/**
 * Requests for one model that wait at one entry node, because every member's own queue is long. An engine serves in the
 * order of coming; what waits here can still be fair to keys, and orders what each key has waiting by its priorities.
 *
 * Start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996), where each request costs one: the key that got least
 * is next, and who comes anew counts as having got what the least served of those that wait has got. So nobody saves
 * up turns by staying away, and nobody waits for a newcomer to catch up.
 */
import type { Instant } from '../std/time.ts';

/** Some 20 kB each, with the body that waits. */
const waitingMax = 1_024;

export type Waiting = {
  /** Of its owner; requests without a key share one. */
  readonly key: string;
  /** Lower goes first among those of its key, 0 is usual. */
  readonly priority: number;
  readonly until: Instant;
};

/** `served`: of the keys that were seen since somebody last came to an empty queue. */
export type Queue<W extends Waiting> = { waiting: W[]; readonly served: Map<string, number> };

export const newQueue = <W extends Waiting>(): Queue<W> => ({ waiting: [], served: new Map() });

/** null: it waits. Else whoever has no place any more: the newcomer, or one that made room for it. */
export function enqueue<W extends Waiting>(queue: Queue<W>, entry: W): W | null {
  arrive(queue, entry.key);
  queue.waiting.push(entry);
  if (queue.waiting.length <= waitingMax) return null;
  const most = keyWithMost(queue.waiting);
  const at = queue.waiting.findLastIndex(({ key }) => key === most);
  const [out] = queue.waiting.splice(at, 1);
  return out ?? null;
}

/** Whose turn it is, who then waits no more; null: nobody waits. */
export function next<W extends Waiting>(queue: Queue<W>): W | null {
  const first = firstBy(queue.waiting, ({ key }) => servedOf(queue, key));
  if (first === null) return null;
  const { key } = first;
  const best = firstBy(
    queue.waiting.filter((entry) => entry.key === key),
    ({ priority }) => priority,
  );
  if (best === null) return null;
  withdraw(queue, best);
  queue.served.set(key, servedOf(queue, key) + 1);
  return best;
}

/** Those whose deadline has passed, who wait no more. */
export function expire<W extends Waiting>(queue: Queue<W>, now: Instant): readonly W[] {
  const late = queue.waiting.filter(({ until }) => until <= now);
  if (late.length > 0) queue.waiting = queue.waiting.filter(({ until }) => until > now);
  return late;
}

/** False: it did not wait any more. */
export function withdraw<W extends Waiting>(queue: Queue<W>, entry: W): boolean {
  const at = queue.waiting.indexOf(entry);
  if (at !== -1) queue.waiting.splice(at, 1);
  return at !== -1;
}

function arrive<W extends Waiting>(queue: Queue<W>, newcomer: string): void {
  const { waiting, served } = queue;
  if (waiting.length === 0) served.clear();
  if (waiting.some(({ key }) => key === newcomer)) return;
  const least = waiting.reduce((low, { key }) => Math.min(low, servedOf(queue, key)), Infinity);
  if (least !== Infinity) served.set(newcomer, Math.max(servedOf(queue, newcomer), least));
}

/** Equals keep the order in which they came. */
function firstBy<W>(entries: readonly W[], rank: (entry: W) => number): W | null {
  let best: { readonly entry: W; readonly rank: number } | null = null;
  for (const entry of entries) {
    const its = rank(entry);
    if (best === null || its < best.rank) best = { entry, rank: its };
  }
  return best?.entry ?? null;
}

const servedOf = <W extends Waiting>({ served }: Queue<W>, key: string): number => served.get(key) ?? 0;

function keyWithMost(waiting: readonly Waiting[]): string {
  const counts = new Map<string, number>();
  for (const { key } of waiting) counts.set(key, (counts.get(key) ?? 0) + 1);
  return [...counts].reduce((most, one) => (one[1] >= most[1] ? one : most))[0];
}
