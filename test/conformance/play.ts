/** Plays the whole list to one target, one thing after the other: for a real engine, of which one at a time is enough. */
import { EngineProcess, type Target } from './engine-process.ts';
import { contextTokens, endings, exchanges, flagsOf } from './exchanges.ts';
import type { Json } from './shape.ts';

/** `only`: names to play; empty for all. `seen` hears of each as it is done. */
export async function playAll(
  target: Target,
  only: readonly string[],
  seen: (name: string, observation: Json) => Promise<void>,
): Promise<void> {
  const wanted = (name: string): boolean => only.length === 0 || only.some((part) => name.includes(part));
  for (const kind of ['plain', 'scale-out'] as const) {
    const list = exchanges.filter((exchange) => exchange.engine === kind && wanted(exchange.name));
    if (list.length === 0) continue;
    const engine = await EngineProcess.serving(target, flagsOf[kind]);
    try {
      for (const exchange of list) await seen(exchange.name, await exchange.play(engine.talk(contextTokens)));
    } finally {
      await engine.end();
    }
  }
  for (const ending of endings.filter((one) => wanted(one.name)))
    await seen(ending.name, await ending.observe(target));
}
