/** `synkti identity`: who the node of a data directory is, before it has ever run: other machines list its peer id. */
import { variableOf, table } from '../config/settings.ts';
import { takeDataDir } from '../os/data-dir.ts';
import type { Cli } from './cli.ts';
import { exit, print, printJson, type Io } from './io.ts';
import { jsonOption, optionOf, withExamples } from './option.ts';

type Options = { readonly dataDir?: string; readonly json?: true };

export function identityCommand({ program, io, ends }: Cli): void {
  const command = program
    .command('identity')
    .summary("print the node's peer id")
    .description(
      "Prints the peer id that follows from the key in the data directory, and makes the key if there is none. It is what other nodes' --peers and --operators name.",
    )
    .addOption(
      optionOf('--data-dir', table.dataDir.kind, `data directory (default: ${table.dataDir.fallback})`),
    )
    .addOption(jsonOption());
  withExamples(command, [
    ['synkti identity', 'the peer id of the node of this machine'],
    ['synkti identity --data-dir ./laptop --json', 'the same of another folder, for scripts'],
  ]).action((options: Options) => ends(identity(options, io)));
}

async function identity({ dataDir, json }: Options, io: Io): Promise<number> {
  const directory = dataDir ?? (io.env[variableOf('dataDir')] || table.dataDir.fallback);
  // Keys bring a part of libp2p along, which no other command needs.
  const { loadIdentity } = await import('../mtls/identity.ts');
  await takeDataDir(directory);
  const { peerId } = await loadIdentity(directory);
  if (json === true) printJson(io, { peerId });
  else print(io, peerId);
  return exit.done;
}
