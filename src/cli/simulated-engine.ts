/** `synkti simulated-engine`: what a node starts instead of vLLM. Its flags are vLLM's, so it reads them itself. */
import { respawn } from './executable.ts';
import type { Io } from './io.ts';

export async function simulatedEngine(args: readonly string[], io: Io): Promise<number> {
  const { runSimulatedEngine } = await import('../engines/simulated/run.ts');
  return runSimulatedEngine(args, { ...io, respawn });
}
