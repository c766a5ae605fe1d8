/** `synkti leave`: a drain that is waited for. */
import type { Cli } from './cli.ts';
import { withinOption } from './drain.ts';
import { exit, print, printJson, type Io } from './io.ts';
import { jsonOption, withExamples } from './option.ts';
import { lifeText } from './status.ts';
import { connectTo, withTarget, type Target } from './target.ts';

type Options = Target & { readonly within?: number; readonly json?: true };

export function leaveCommand({ program, io, ends }: Cli): void {
  const command = withTarget(
    program
      .command('leave')
      .summary('drain a node and wait until it has left')
      .description('Drains a node and waits until it has left the cluster and stopped its engine.'),
  )
    .addOption(withinOption())
    .addOption(jsonOption());
  withExamples(command, [
    ['synkti leave', 'the node on this machine; its process ends by itself'],
    ['synkti leave --node 2 --within 30s', 'node 2 of the development cluster'],
  ]).action((options: Options) => ends(leave(options, io)));
}

async function leave(options: Options, io: Io): Promise<number> {
  const client = await connectTo(options, io);
  // One that stands still would be waited for as long as a drain may take, an hour.
  await client.status();
  const node = await client.leave(options.within ?? null);
  if (options.json === true) printJson(io, node);
  else print(io, `${node.id}: ${lifeText(node.life)}`);
  return exit.done;
}
