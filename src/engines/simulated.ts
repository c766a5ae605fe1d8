/** How the simulated engine is started: this program again, as a process of its own, under vLLM's flags. */
import type { EngineSpec } from './spec.ts';

type SimulatedOptions = {
  /** The command line that runs this program with other arguments. */
  readonly respawn: (args: readonly string[]) => {
    readonly command: string;
    readonly args: readonly string[];
  };
  readonly servedName: string;
  readonly socket: string;
  readonly extraArgs: readonly string[];
};

export function simulatedSpec({ respawn, servedName, socket, extraArgs }: SimulatedOptions): EngineSpec {
  const { command, args } = respawn([
    'simulated-engine',
    `--uds=${socket}`,
    `--served-model-name=${servedName}`,
    '--enable-scale-out',
    '--shutdown-timeout=0',
    ...extraArgs,
  ]);
  return { command, args, env: {}, socket, scratch: null, warmUp: false, repeatable: true };
}
