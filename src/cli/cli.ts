/**
 * The command line: which commands there are, and what becomes of their failures. A failure is one line on stderr;
 * a stack trace means a bug and nothing else. Commands load what they need when they run, so that `--version`,
 * completion and help stay as quick as a shell expects.
 */
import { Command, CommanderError, type Argument } from 'commander';
import type { Settings } from '../config/settings.ts';
import { Failure } from '../std/failure.ts';
import { chaosCommand } from './chaos.ts';
import { complete, completionCommand } from './completion.ts';
import { devCommand } from './dev.ts';
import { drainCommand } from './drain.ts';
import { explainCommand } from './explain.ts';
import { identityCommand } from './identity.ts';
import { exit, Misuse, say, type Io } from './io.ts';
import { keyCommand } from './key.ts';
import { leaveCommand } from './leave.ts';
import { membersCommand } from './members.ts';
import { withExamples } from './option.ts';
import { runCommand } from './run.ts';
import { simulatedEngine } from './simulated-engine.ts';
import { statusCommand } from './status.ts';
import { versionCommand, versionText } from './version.ts';

/** Runs a node until it has left; resolves with the exit code. */
export type RunNode = (settings: Settings, io: Io) => Promise<number>;

/** What a command is built with. */
export type Cli = {
  readonly program: Command;
  readonly io: Io;
  /** Takes the promise of the command's exit code. */
  readonly ends: (work: Promise<number>) => Promise<void>;
  readonly runNode: RunNode;
};

export async function runCli(args: readonly string[], io: Io, runNode: RunNode): Promise<number> {
  let code: number = exit.done;
  const ends = async (work: Promise<number>): Promise<void> => {
    code = await work;
  };
  const program = programOf({ io, ends, runNode }, args);
  try {
    // Not for people: these two take words that look like flags of ours.
    if (args[0] === 'simulated-engine') return await simulatedEngine(args.slice(1), io);
    if (args[0] === 'complete') return await complete(program, args.slice(1), io);
    await program.parseAsync(aboutHelp(program, args), { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exit.done : exit.misused;
    if (!(error instanceof Misuse) && !(error instanceof Failure)) throw error;
    say(io, error.message);
    return error instanceof Misuse ? exit.misused : exit.refused;
  }
}

/** `help X` is `X --help`, also of `key new`; of no command it is misuse, as X alone is, and of help itself the list. */
function aboutHelp(program: Command, args: readonly string[]): string[] {
  const [word, about = 'help', ...rest] = args;
  if (word !== 'help') return [...args];
  if (['help', '--help', '-h'].includes(about)) return ['--help'];
  const known = program.commands.some((command) => command.name() === about);
  return known ? [about, ...rest, '--help'] : [about, ...rest];
}

/** What says itself what is right needs no more; of the rest the help does. */
function whereToLook(complaint: string, program: Command, [word]: readonly string[]): string {
  if (/Did you mean|Allowed choices/.test(complaint)) return '';
  const isKnown = program.commands.some((command) => command.name() === word);
  return ` (see synkti help${isKnown ? ` ${word}` : ''})`;
}

const termOf = (argument: Argument): string => {
  const name = `${argument.name()}${argument.variadic ? '...' : ''}`;
  return argument.required ? `<${name}>` : `[${name}]`;
};

function programOf({ io, ends, runNode }: Omit<Cli, 'program'>, args: readonly string[]): Command {
  const program = new Command('synkti')
    .description('Serves LLMs on spot GPUs from a cluster of equal nodes, without a control plane.')
    .version(versionText(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show this help')
    .helpCommand('help [command]', 'show the help of a command')
    .enablePositionalOptions()
    .exitOverride()
    .configureHelp({
      subcommandTerm: (command) => [command.name(), ...command.registeredArguments.map(termOf)].join(' '),
    })
    .configureOutput({
      writeOut: (text) => void io.out.write(text),
      writeErr: (text) => void io.err.write(text),
      getOutHelpWidth: () => io.out.columns ?? 100,
      getErrHelpWidth: () => io.err.columns ?? 100,
      outputError: (text, write) =>
        write(
          `${text
            .trim()
            .replace(/^error: /, 'synkti: ')
            .replaceAll('\n', ' ')}${whereToLook(text, program, args)}\n`,
        ),
    });
  withExamples(program, [
    ['synkti dev', 'a cluster of three nodes on this machine'],
    ['synkti run --engine vllm --model /models/llama', 'one node, serving with vLLM'],
    ['synkti members', 'who is in the cluster, as this node sees it'],
  ]);
  const cli: Cli = { program, io, ends, runNode };
  runCommand(cli);
  devCommand(cli);
  chaosCommand(cli);
  statusCommand(cli);
  membersCommand(cli);
  explainCommand(cli);
  identityCommand(cli);
  keyCommand(cli);
  drainCommand(cli);
  leaveCommand(cli);
  versionCommand(cli);
  completionCommand(cli);
  return program;
}
