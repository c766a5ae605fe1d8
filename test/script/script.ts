/**
 * What is run by hand as `npm run NAME -- FLAGS`: the benches, the trials, the demo, the simulator. One help, one way to
 * be told of a wrong flag, and exit codes that mean the same everywhere: 0 all was as promised, 1 something was not, 2 it
 * was asked for what there is not, and nothing was begun.
 */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import type { Flag } from './flags.ts';

export type Flags = Readonly<Record<string, Flag<unknown>>>;
export type Given<F extends Flags> = {
  readonly [Name in keyof F]: F[Name] extends Flag<infer T> ? T : never;
};

export type Script<F extends Flags> = {
  /** As package.json has it. */
  readonly name: string;
  /** What it does, and what it tells. */
  readonly about: string;
  readonly flags: F;
  /** Behind the list of flags. */
  readonly more?: readonly string[];
  readonly example: string;
};

/** Something that was asked for cannot be had: said in one line, exit 2. */
export class Misuse extends Error {}

/** Reads this process's command line and sets its exit code. */
export async function runScript<F extends Flags>(
  script: Script<F>,
  run: (given: Given<F>) => Promise<number>,
): Promise<void> {
  process.exitCode = await answer(script, process.argv.slice(2), run, process);
}

type Streams = {
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown };
};

/** Resolves with the exit code. */
export async function answer<F extends Flags>(
  script: Script<F>,
  args: readonly string[],
  run: (given: Given<F>) => Promise<number>,
  { stdout, stderr }: Streams,
): Promise<number> {
  const command = commandOf(script).configureOutput({
    writeOut: (text) => void stdout.write(text),
    writeErr: (text) => void stderr.write(text),
    outputError: (text, write) => write(`${complaintOf(script, text)}\n`),
  });
  try {
    command.parse(args, { from: 'user' });
    return await run(command.opts<Given<F>>());
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (!(error instanceof Misuse)) throw error;
    stderr.write(`${complaintOf(script, error.message)}\n`);
    return 2;
  }
}

function commandOf<F extends Flags>({ name, about, flags, more = [], example }: Script<F>): Command {
  const command = new Command(name)
    .description(about)
    .allowExcessArguments(false)
    .helpOption('--help', 'this')
    .addHelpText(
      'after',
      ['', ...more, ...(more.length > 0 ? [''] : []), exits, '', `Example: ${example}`].join('\n'),
    )
    .configureHelp({ commandUsage: () => `npm run ${name} -- [flags]`, optionDescription, helpWidth: 110 })
    .exitOverride();
  for (const [name, flag] of Object.entries(flags)) command.addOption(optionOf(name, flag));
  return command;
}

/** Without a word on flags that are not set unless they are given. */
const optionDescription = ({ description, defaultValue }: Option): string =>
  [undefined, null, false].includes(defaultValue)
    ? description
    : `${description} (${String(defaultValue)} by default)`;

const exits =
  'Exit 0: all was as promised; 1: something was not; 2: asked for what there is not, nothing was begun.';

function optionOf(name: string, { value, says, read, otherwise }: Flag<unknown>): Option {
  const written = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  const option = new Option(value === null ? `--${written}` : `--${written} <${value}>`, says).default(
    otherwise,
  );
  if (value === null) return option;
  return option.argParser((text: string) => {
    // Commander gives the next word, whatever it is.
    if (/^$|^--/.test(text)) throw new InvalidArgumentError('It needs a value.');
    return read(text);
  });
}

const complaintOf = ({ name }: { readonly name: string }, text: string): string =>
  `${name}: ${text
    .trim()
    .replace(/^error: /, '')
    .replaceAll('\n', ' ')} (--help has them all)`;
