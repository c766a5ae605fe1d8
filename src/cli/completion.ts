/**
 * Shell completion. The scripts are a few lines each and ask the program itself, so that they never grow stale:
 * `synkti complete WORD... PREFIX` prints what may stand in the place of the last word, one a line with a tab and
 * its meaning. Nothing printed means a file name, or nothing, may stand there.
 */
import { Argument, type Command, type Option } from 'commander';
import { Failure } from '../std/failure.ts';
import type { Cli } from './cli.ts';
import { printable } from './columns.ts';
import { exit, print, type Io } from './io.ts';
import { withExamples } from './option.ts';
import { connectTo } from './target.ts';

const scripts = {
  bash: `_synkti() {
  local word
  COMPREPLY=()
  while IFS= read -r word; do COMPREPLY+=("$word"); done \\
    < <(synkti complete "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f1)
}
complete -o default -F _synkti synkti`,
  zsh: `#compdef synkti
_synkti() {
  local -a found
  found=("\${(@f)$(synkti complete "\${(@)words[2,CURRENT]}" 2>/dev/null | sed 's/:/\\\\:/g; s/\\t/:/')}")
  if [[ -n "$found" ]]; then _describe synkti found; else _files; fi
}
compdef _synkti synkti`,
  fish: `function __synkti
  set -l found (synkti complete (commandline -opc)[2..] (commandline -ct) 2>/dev/null)
  if set -q found[1]; printf '%s\\n' $found; else; __fish_complete_path (commandline -ct); end
end
complete -c synkti -f -a '(__synkti)'`,
} as const;
type Shell = keyof typeof scripts;
const shells = Object.keys(scripts) as readonly Shell[];

export function completionCommand({ program, io, ends }: Cli): void {
  const command = program
    .command('completion')
    .summary('print a completion script for a shell')
    .description('Prints a script that teaches a shell to complete commands, flags and node numbers.')
    .addArgument(new Argument('<shell>', 'which shell').choices(shells));
  withExamples(command, [
    ['eval "$(synkti completion bash)"', 'in ~/.bashrc'],
    ['source <(synkti completion zsh)', 'in ~/.zshrc, after compinit'],
    ['synkti completion fish > ~/.config/fish/completions/synkti.fish', 'once'],
  ]).action((shell: Shell) => {
    print(io, scripts[shell]);
    return ends(Promise.resolve(exit.done));
  });
}

type Candidate = readonly [word: string, meaning: string];

/** `words` are those after the program's name; the last one is what stands under the cursor, and may be empty. */
export async function complete(program: Command, words: readonly string[], io: Io): Promise<number> {
  const prefix = words.at(-1) ?? '';
  const candidates = await candidatesFor(program, words.slice(0, -1), prefix, io);
  const fitting = candidates.filter(([word]) => word.startsWith(prefix));
  if (fitting.length > 0) print(io, fitting.map((candidate) => candidate.join('\t')).join('\n'));
  return exit.done;
}

async function candidatesFor(
  program: Command,
  before: readonly string[],
  prefix: string,
  io: Io,
): Promise<readonly Candidate[]> {
  const visible = program.createHelp().visibleCommands(program);
  const commands = visible.map((command): Candidate => [command.name(), command.summary()]);
  const command = visible.find((visible) => visible.name() === before[0]);
  if (command === undefined)
    return before.length > 0 ? [] : prefix.startsWith('-') ? flags(program) : commands;
  const previous = command.options.find((option) => option.long === before.at(-1));
  if (previous?.required === true) return values(previous, io);
  if (prefix.startsWith('-')) return flags(command);
  if (command.name() === 'help') return before.length === 1 ? commands : [];
  const position = operands(command, before.slice(1)).length;
  const argument = command.registeredArguments[position];
  if (argument === undefined) return [];
  if (argument.name() === 'node') return nodes(io);
  if (argument.name() === 'id' && before[1] === 'member') return members(io);
  return words(argument.argChoices ?? []);
}

const flags = (command: Command): readonly Candidate[] =>
  command
    .createHelp()
    .visibleOptions(command)
    .map((option): Candidate => [option.long ?? '', option.description]);

const words = (list: readonly string[]): readonly Candidate[] => list.map((word): Candidate => [word, '']);

/** A choice shows in the placeholder: `--log-level <error|warn|info|debug>`. */
async function values(option: Option, io: Io): Promise<readonly Candidate[]> {
  if (option.long === '--node') return nodes(io);
  const placeholder = /<([^>]+\|[^>]+)>/.exec(option.flags)?.[1];
  return words((placeholder?.split('|') ?? []).filter((word) => word !== 'url'));
}

async function nodes(io: Io): Promise<readonly Candidate[]> {
  const { devDir, readDevState } = await import('./dev/state.ts');
  const state = await readDevState(devDir(io.env, undefined));
  return (state?.nodes ?? []).map(({ node, id, zone }): Candidate => [String(node), `${id} in ${zone}`]);
}

/** Of the node of this machine; none when there is no node to ask. */
async function members(io: Io): Promise<readonly Candidate[]> {
  try {
    const known = await (await connectTo({}, io)).members();
    return known.map(({ id, health, zone }): Candidate => [printable(id), `${health} in ${printable(zone)}`]);
  } catch (error) {
    if (error instanceof Failure) return [];
    throw error;
  }
}

/** The words that are neither flags nor a flag's value. */
function operands(command: Command, typed: readonly string[]): readonly string[] {
  const takesValue = (word: string | undefined): boolean =>
    command.options.some((option) => option.long === word && option.required);
  return typed.filter((word, at) => !word.startsWith('-') && !takesValue(typed[at - 1]));
}
