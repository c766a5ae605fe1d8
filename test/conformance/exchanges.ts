/**
 * The one list: everything that is said to the simulated engine, was said to the real vLLM of the recordings, and is
 * said again to a real vLLM where one is installed.
 */
import { deaths } from './deaths.ts';
import { EngineProcess, type Target } from './engine-process.ts';
import type { Exchange } from './exchange.ts';
import { scaleOut, scaleOutStories } from './scale-out.ts';
import type { Json } from './shape.ts';
import { failedStarts, observeStart } from './starts.ts';
import { streaming } from './streaming.ts';
import { surface } from './surface.ts';

export const exchanges: readonly Exchange[] = [...surface, ...streaming, ...scaleOut, ...scaleOutStories];

/** The flags of the engine that an exchange talks to. */
export const flagsOf: Readonly<Record<Exchange['engine'], readonly string[]>> = {
  plain: [],
  'scale-out': ['--enable-scale-out', '--enable-request-id-headers'],
};

/** The prompts of the list fill it: small enough for a tiny model on a CPU. */
export const contextTokens = 4_096;

/** What needs an engine of its own, because the engine does not outlive it. */
export const endings: readonly { readonly name: string; observe(target: Target): Promise<Json> }[] = [
  ...deaths.map((death) => ({
    name: death.name,
    async observe(target: Target): Promise<Json> {
      const engine = await EngineProcess.serving(target, death.flags);
      try {
        return await death.play(engine);
      } finally {
        await engine.end();
      }
    },
  })),
  ...failedStarts.map((start) => ({
    name: start.name,
    observe: (target: Target): Promise<Json> => observeStart(target, start),
  })),
];
