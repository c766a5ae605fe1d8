/**
 * The smallest part of a fault schedule that still breaks the same promise: delta debugging (Zeller and Hildebrandt, TSE
 * 2002, ddmin), with a bound on the runs because each costs seconds.
 */
const runsMax = 40;

export async function shrink(
  all: readonly number[],
  stillFails: (kept: readonly number[]) => Promise<boolean>,
): Promise<readonly number[]> {
  let kept = all;
  let parts = 2;
  let runs = 0;
  const fails = (some: readonly number[]): Promise<boolean> => {
    runs++;
    return stillFails(some);
  };
  if (await fails([])) return [];
  while (kept.length > 1 && runs < runsMax) {
    const smaller = await oneOf(without(kept, parts), async (some) => runs < runsMax && (await fails(some)));
    if (smaller !== null) {
      kept = smaller;
      parts = Math.max(2, parts - 1);
    } else if (parts >= kept.length) break;
    else parts = Math.min(kept.length, 2 * parts);
  }
  return kept;
}

/** The list without each of its parts in turn; the later faults first, which are less likely to have led to it. */
function without(list: readonly number[], parts: number): (readonly number[])[] {
  const size = Math.ceil(list.length / parts);
  const rests: (readonly number[])[] = [];
  for (let from = 0; from < list.length; from += size) {
    rests.push(list.filter((_, at) => at < from || at >= from + size));
  }
  return rests.reverse();
}

async function oneOf<T>(
  candidates: readonly T[],
  holds: (candidate: T) => Promise<boolean>,
): Promise<T | null> {
  for (const candidate of candidates) if (await holds(candidate)) return candidate;
  return null;
}
