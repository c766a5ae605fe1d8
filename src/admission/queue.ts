/**
 * Requests for one model that wait at one entry node, because every member's own queue is long. An engine serves in the
 * order of coming; what waits here can still be fair: to keys, by what each got lately, and to priorities.
 */
import type { Instant } from '../std/time.ts';

/** Some 20 kB each, with the body that waits. */
const waitingMax = 1_024;
/** What a key got is halved so often that a minute of plenty does not cost it an hour. */
const servedMax = 256;

export type Waiting = {
  /** Of its owner; requests without a key share one. */
  readonly key: string;
  /** Lower goes first, 0 is usual. */
  readonly priority: number;
  readonly until: Instant;
};

export type Queue<W extends Waiting> = { waiting: W[]; readonly served: Map<string, number> };

export const newQueue = <W extends Waiting>(): Queue<W> => ({ waiting: [], served: new Map() });

/** null: it waits. Else whoever has no place any more: the newcomer, or one that made room for it. */
export function enqueue<W extends Waiting>(queue: Queue<W>, entry: W): W | null {
  queue.waiting.push(entry);
  if (queue.waiting.length <= waitingMax) return null;
  const most = keyWithMost(queue.waiting);
  const at = queue.waiting.findLastIndex(({ key }) => key === most);
  const [out] = queue.waiting.splice(at, 1);
  return out ?? null;
}

/** Whose turn it is, who then waits no more; null: nobody waits. */
export function next<W extends Waiting>(queue: Queue<W>): W | null {
  let best: W | undefined;
  for (const entry of queue.waiting) if (best === undefined || isBefore(queue, entry, best)) best = entry;
  if (best === undefined) return null;
  withdraw(queue, best);
  const served = servedOf(queue, best.key) + 1;
  queue.served.set(best.key, served);
  if (queue.waiting.length === 0) queue.served.clear();
  else if (served > servedMax) for (const [key, times] of queue.served) queue.served.set(key, times / 2);
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

/** Equals keep the order in which they came. */
const isBefore = <W extends Waiting>(queue: Queue<W>, one: W, other: W): boolean =>
  one.priority !== other.priority
    ? one.priority < other.priority
    : servedOf(queue, one.key) < servedOf(queue, other.key);

const servedOf = <W extends Waiting>({ served }: Queue<W>, key: string): number => served.get(key) ?? 0;

function keyWithMost(waiting: readonly Waiting[]): string {
  const counts = new Map<string, number>();
  for (const { key } of waiting) counts.set(key, (counts.get(key) ?? 0) + 1);
  return [...counts].reduce((most, one) => (one[1] >= most[1] ? one : most))[0];
}
