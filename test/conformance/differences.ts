/**
 * Where the simulated engine differs from the recorded vLLM on purpose, and why. Everything else that differs is a
 * fault of the simulated engine; an entry here that no longer differs is a fault of this table.
 */
import type { Json } from './shape.ts';

export type Difference = { readonly path: string; readonly recorded: string; readonly seen: string };

export type Wanted = {
  readonly exchange: string;
  /** Where the difference begins; all below it belongs to it. */
  readonly path: string;
  readonly reason: string;
};

export const wantedDifferences: readonly Wanted[] = [];

/** Every place where the two differ, outermost first; the order of keys counts. */
export function differencesBetween(recorded: Json, seen: Json, path = ''): readonly Difference[] {
  if (JSON.stringify(recorded) === JSON.stringify(seen)) return [];
  const here: Difference = { path, recorded: brief(recorded), seen: brief(seen) };
  if (!isContainer(recorded) || !isContainer(seen) || Array.isArray(recorded) !== Array.isArray(seen))
    return [here];
  const [was, is] = [Object.entries(recorded), Object.entries(seen)];
  const keys = [...new Set([...was, ...is].map(([key]) => key))];
  const found = keys.flatMap((key) => {
    const [before, now] = [valueAt(recorded, key), valueAt(seen, key)];
    if (before === undefined || now === undefined)
      return [{ path: `${path}/${key}`, recorded: brief(before), seen: brief(now) }];
    return differencesBetween(before, now, `${path}/${key}`);
  });
  return found.length > 0 ? found : [{ path, recorded: `keys ${keysOf(was)}`, seen: `keys ${keysOf(is)}` }];
}

type Container = readonly Json[] | { readonly [key: string]: Json };
const isContainer = (value: Json): value is Container => typeof value === 'object' && value !== null;
const valueAt = (value: Container, key: string): Json | undefined =>
  (value as { readonly [key: string]: Json })[key];
const keysOf = (entries: readonly (readonly [string, unknown])[]): string =>
  entries.map(([key]) => key).join(' ');
const brief = (value: Json | undefined): string =>
  value === undefined ? 'nothing' : JSON.stringify(value).slice(0, 160);

/** What differs and may not; and the wanted differences of this exchange that did not occur. */
export function judge(
  exchange: string,
  found: readonly Difference[],
  table: readonly Wanted[] = wantedDifferences,
): { readonly faults: readonly Difference[]; readonly outdated: readonly Wanted[] } {
  const wanted = table.filter((one) => one.exchange === exchange);
  const covers = (one: Wanted, difference: Difference): boolean =>
    difference.path === one.path || difference.path.startsWith(`${one.path}/`);
  return {
    faults: found.filter((difference) => !wanted.some((one) => covers(one, difference))),
    outdated: wanted.filter((one) => !found.some((difference) => covers(one, difference))),
  };
}
