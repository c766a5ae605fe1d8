/** Playing the list: once to record it, and against what was recorded. */
import { differencesBetween, judge, type Difference } from './differences.ts';
import { EngineProcess, type Target } from './engine-process.ts';
import { contextTokens, endings, exchanges, flagsOf } from './exchanges.ts';
import type { Json } from './shape.ts';

/**
 * The whole list to one target, one thing after the other: for a real engine, of which one at a time is enough.
 * `only`: parts of the names to play; empty for all. `visit` plays each, as often as it likes.
 */
export async function playAll(
  target: Target,
  only: readonly string[],
  visit: (name: string, play: () => Promise<Json>) => Promise<void>,
): Promise<void> {
  const wanted = (name: string): boolean => only.length === 0 || only.some((part) => name.includes(part));
  for (const kind of ['plain', 'scale-out'] as const) {
    const list = exchanges.filter((exchange) => exchange.engine === kind && wanted(exchange.name));
    if (list.length === 0) continue;
    const engine = await EngineProcess.serving(target, flagsOf[kind]);
    try {
      for (const exchange of list)
        await visit(exchange.name, () => exchange.play(engine.talk(contextTokens)));
    } finally {
      await engine.end();
    }
  }
  for (const ending of endings.filter((one) => wanted(one.name)))
    await visit(ending.name, () => ending.observe(target));
}

/** A chunk pattern that is spoilt by a late reader is not spoilt three times. */
const triesMax = 3;

/**
 * Plays until it goes as recorded, a few times at most: a reader that is late on a busy machine gets several tokens in
 * one chunk, from either engine, and so another pattern. Differences of substance stay.
 */
export async function differencesOf(
  name: string,
  play: () => Promise<Json>,
  recorded: Json,
): Promise<readonly Difference[]> {
  let found: readonly Difference[] = [];
  for (let tries = 0; tries < triesMax; tries++) {
    found = differencesBetween(recorded, await play());
    if (judge(name, found).faults.length === 0) break;
  }
  return found;
}
