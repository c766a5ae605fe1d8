/** `synkti run`: one node, until it has left the cluster. */
import { readFile } from 'node:fs/promises';
import { Option, type Command } from 'commander';
import { didYouMean } from '../config/nearest.ts';
import { fallbackOf, flagOf, keyOf, settingNames, settingOf, type SettingName } from '../config/settings.ts';
import type { Cli, RunNode } from './cli.ts';
import { exit, Misuse, say, type Io } from './io.ts';
import { withExamples } from './option.ts';

export function runCommand({ program, io, ends, runNode }: Cli): void {
  const command = program
    .command('run')
    .summary('run one node')
    .description(
      'Runs one node: joins the cluster, starts its engine, serves, and leaves in good order on SIGTERM.\n' +
        'Every flag is also a variable (--api-port is SYNKTI_API_PORT) and a key of the file (apiPort: 8000).',
    )
    .option('--config <file>', 'settings as YAML; a flag wins over a variable, a variable over the file')
    // Collected and told together with every other problem, not one by one.
    .allowUnknownOption()
    .allowExcessArguments();
  for (const name of settingNames) command.addOption(settingOption(name));
  withExamples(command, [
    ['synkti run --engine vllm --model /models/llama', 'a node on an EC2 instance'],
    ['synkti run --role edge --api-port 80', 'takes requests in, has no engine'],
    ['synkti run --config /etc/synkti.yaml', 'settings from a file'],
  ]).action(() => ends(run(command, io, runNode)));
}

async function run(command: Command, io: Io, runNode: RunNode): Promise<number> {
  const { config, ...flags } = command.opts<Record<string, string | true> & { readonly config?: string }>();
  const written = settingNames.flatMap((name) => {
    const value = flags[keyOf(name)];
    return value === undefined ? [] : [[name, String(value)] as const];
  });
  const { configVariable, readSettings } = await import('../config/read.ts');
  const file =
    config === undefined
      ? await fileOf(configVariable, io.env[configVariable] || null)
      : await fileOf('--config', config);
  const reading = readSettings({ flags: Object.fromEntries(written), env: io.env, file });
  const strange = strangers(command);
  if (reading.type === 'settings' && strange.length === 0) return runNode(reading.settings, io);
  for (const problem of [...strange, ...(reading.type === 'problems' ? reading.problems : [])])
    say(io, problem);
  return exit.misused;
}

function settingOption(name: SettingName): Option {
  const { kind, help } = settingOf(name);
  const flag = kind.placeholder === '' ? flagOf(name) : `${flagOf(name)} <${kind.placeholder}>`;
  return new Option(flag, `${help} (default: ${fallbackOf(name)})`);
}

/** What stood on the command line and is no flag of ours; the word after an unknown flag is taken for its value. */
function strangers(command: Command): readonly string[] {
  const known = command.options.map((option) => option.long ?? '');
  return command.args.flatMap((word, at) => {
    const [flag = ''] = word.split('=');
    // One with a value would have been taken with it.
    if (word.includes('=') && known.includes(flag))
      return `${flag}: takes no value, it is set by being there`;
    if (word.startsWith('-')) return `${flag}: no such flag${didYouMean(flag, known)}`;
    return command.args[at - 1]?.startsWith('--') === true ? [] : `${word}: not expected here`;
  });
}

async function fileOf(place: string, path: string | null): Promise<{ path: string; text: string } | null> {
  if (path === null) return null;
  try {
    return { path, text: await readFile(path, 'utf8') };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Misuse(
      `${place} ${path || '""'}: ${code === 'ENOENT' ? 'no such file' : `not readable (${code})`}`,
    );
  }
}
