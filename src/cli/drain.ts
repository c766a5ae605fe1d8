/** `synkti drain`: the node takes nothing new, hands over what it runs, and leaves. */
import { duration } from '../config/kinds.ts';
import type { Cli } from './cli.ts';
import { exit, print, printJson, type Io } from './io.ts';
import { jsonOption, optionOf, withExamples } from './option.ts';
import { lifeText } from './status.ts';
import { connectTo, withTarget, type Target } from './target.ts';

type Options = Target & { readonly within?: number; readonly json?: true };

/** An hour is the most that a node takes: see control/protocol.ts. */
export const withinOption = () =>
  optionOf(
    '--within',
    duration({ minMs: 0, maxMs: 3_600_000 }),
    'the time until it has to be gone (default: what the node was started with)',
  );

export function drainCommand({ program, io, ends }: Cli): void {
  const command = withTarget(
    program
      .command('drain')
      .summary('make a node hand over its work and leave')
      .description('Starts the drain of a node and returns; its streams go on elsewhere.'),
  )
    .addOption(withinOption())
    .addOption(jsonOption());
  withExamples(command, [
    ['synkti drain', 'the node on this machine'],
    ['synkti drain --node 2 --within 30s', 'node 2 of the development cluster, gone in half a minute'],
  ]).action((options: Options) => ends(drain(options, io)));
}

async function drain(options: Options, io: Io): Promise<number> {
  const client = await connectTo(options, io);
  const node = await client.drain('operator', options.within ?? null);
  if (options.json === true) printJson(io, node);
  // Who answers has not gone: it has said goodbye, and stops its engine.
  else print(io, `${node.id}: ${node.life.phase === 'left' ? 'leaving' : lifeText(node.life)}`);
  return exit.done;
}
