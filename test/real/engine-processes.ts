/** The processes of one node's vLLM, found by what they inherited, and what signals do to them. */
import { realpath } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { instanceMark } from '../../src/cli/dev/environment.ts';
import { processes } from '../../src/os/processes.ts';
import type { Found } from '../../src/os/proc.ts';
import type { DevNode } from '../cluster/dev-cluster.ts';

export type Part = 'server' | 'core';

/** `vllm serve …` keeps its command line; the core writes its title over it. */
const isPart: Readonly<Record<Part, (command: string) => boolean>> = {
  server: (command) => / serve .*--uds=/.test(command) && !command.includes('--engine-command'),
  core: (command) => command.startsWith('VLLM::EngineCore'),
};

/** Of a node whose engine runs: one. */
export async function partsOf(dir: string, { node, id }: DevNode, part: Part): Promise<readonly Found[]> {
  const all = await processes.marked(instanceMark(await realpath(dir), { node, id }));
  return all.filter(({ command }) => isPart[part](command));
}

/** How long engines are stopped and may go on in turn, ms: a token or two for each stream in every turn. */
const stoppedMs = 70;
const goingMs = 25;

export type Pulses = {
  /** From here on this one goes on as it likes. */
  spare(engine: Found): void;
  /** Resolves when all of them go on. */
  stop(): Promise<void>;
};

/** Lets engines go on for moments only, so that short answers last for seconds. */
export function pulse(engines: readonly Found[]): Pulses {
  const slowed = new Set(engines);
  const all = (name: 'SIGSTOP' | 'SIGCONT'): void => {
    for (const engine of slowed) processes.signal(engine, name);
  };
  let isOver = false;
  const beating = (async () => {
    while (!isOver) {
      all('SIGSTOP');
      await pause(stoppedMs);
      all('SIGCONT');
      await pause(goingMs);
    }
  })();
  return {
    spare: (engine) => {
      slowed.delete(engine);
      processes.signal(engine, 'SIGCONT');
    },
    stop: async () => {
      isOver = true;
      await beating;
    },
  };
}
