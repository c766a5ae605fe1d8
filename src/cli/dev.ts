/** `synkti dev`: a real cluster on this machine, no AWS account and no GPU needed, until Ctrl-C. */
import { once } from 'node:events';
import { Option } from 'commander';
import * as kinds from '../config/kinds.ts';
import type { Cli } from './cli.ts';
import type { DevOptions } from './dev/cluster.ts';
import type { Show } from './dev/show.ts';
import type { Stopping } from './dev/stopping.ts';
import { respawn } from './executable.ts';
import { exit, say, type Io } from './io.ts';
import { jsonOption, optionOf, withExamples } from './option.ts';
import { dirOption } from './target.ts';

/** The local cloud's group holds twice as many, and no laptop does. */
const nodesMax = 16;

type Options = {
  readonly nodes: number;
  readonly basePort: number;
  readonly engine: kinds.EngineChoice;
  readonly model?: string;
  readonly replaceAfter: number;
  readonly dir?: string;
  readonly json?: true;
};

export function devCommand({ program, io, ends }: Cli): void {
  const replaceAfter = kinds.duration({ minMs: 0, maxMs: 3_600_000 });
  const command = program
    .command('dev')
    .summary('run a cluster on this machine')
    .description(
      'Runs a cluster on this machine: a local cloud in place of AWS, and nodes that are the real thing.\n' +
        'Node 1 answers on the base port, node 2 on the next one, and so on. Ctrl-C stops everything.',
    )
    .argument('[flags...]', 'after --: flags of `synkti run` for every node')
    .addOption(optionOf('--nodes', kinds.count(1, nodesMax), 'how many nodes').default(3))
    .addOption(optionOf('--base-port', kinds.port, 'port of the first node').default(8000))
    .addOption(
      optionOf('--engine', kinds.engine, 'what the nodes serve with').default('simulated', 'simulated'),
    )
    .addOption(new Option('--model <text>', 'model for vllm (default: what `npm run e2e:vllm` made)'))
    .addOption(
      optionOf('--replace-after', replaceAfter, 'until a lost node is replaced').default(5_000, '5s'),
    )
    .addOption(dirOption())
    .addOption(jsonOption());
  withExamples(command, [
    ['synkti dev', 'three nodes on ports 8000 to 8002'],
    ['synkti dev --nodes 5 --base-port 9000', 'five nodes on ports 9000 to 9004'],
    ['synkti dev --engine vllm --nodes 2', 'two nodes, each with a real vLLM'],
    ['synkti dev -- --log-level debug', 'with a flag for every node'],
  ]).action((flags: readonly string[], options: Options) => ends(dev(options, flags, io)));
}

async function dev(options: Options, flags: readonly string[], io: Io): Promise<number> {
  const [{ showFor }, { stopping }] = await Promise.all([
    import('./dev/show.ts'),
    import('./dev/stopping.ts'),
  ]);
  const stop = stopping(io);
  try {
    const flagsToFind = options.dir === undefined ? '' : ` --dir ${options.dir}`;
    const show = await showFor(io, { json: options.json === true, flags: flagsToFind });
    const cluster = await clusterOptions(options, flags, io);
    if (options.json !== true)
      say(io, `starting ${options.nodes === 1 ? 'one node' : `${options.nodes} nodes`} …`);
    const work = live({ ...cluster, onEvent: show.event }, { io, show, stop });
    // Whoever does not wait leaves the rest to the guard, which acts when this process is gone.
    return await Promise.race([work, stop.forced.then(() => exit.refused)]);
  } finally {
    stop.close();
  }
}

async function clusterOptions(
  options: Options,
  flags: readonly string[],
  io: Io,
): Promise<Omit<DevOptions, 'onEvent'>> {
  const [{ devDir }, { engineOf }] = await Promise.all([import('./dev/state.ts'), import('./dev/engine.ts')]);
  const engine = await engineOf({ engine: options.engine, model: options.model }, io.env);
  return {
    dir: devDir(io.env, options.dir),
    nodes: options.nodes,
    basePort: options.basePort,
    replaceAfterMs: options.replaceAfter,
    readyMs: engine.readyMs,
    env: { ...io.env, ...engine.env },
    program: respawn,
    flags: [...nodeFlags, ...engine.flags, ...flags],
  };
}

/** What makes an instance of the local cloud out of a node; a person's own flags come after these. */
const nodeFlags: readonly string[] = [
  ...['--cluster', 'dev'],
  ...['--host', '127.0.0.1'],
  ...['--api-host', '127.0.0.1'],
  ...['--discovery', '2s'],
  ...['--log-format', 'json'],
  '--faults',
];

/** Lives until it is told to stop. */
async function live(
  options: DevOptions,
  { io, show, stop }: { readonly io: Io; readonly show: Show; readonly stop: Stopping },
): Promise<number> {
  const { startDevCluster } = await import('./dev/cluster.ts');
  try {
    const cluster = await startDevCluster(options, stop.signal);
    try {
      await show.ready(cluster);
      if (!stop.signal.aborted) await once(stop.signal, 'abort');
    } finally {
      await show.close();
      await cluster.close();
    }
  } catch (error) {
    if (stop.signal.aborted) return exit.done;
    for (const line of show.unseen().slice(-unseenMax)) io.err.write(`${line}\n`);
    throw error;
  }
  return exit.done;
}

/** Enough to see what a node said before it ended. */
const unseenMax = 10;
