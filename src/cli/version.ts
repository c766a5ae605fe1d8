/** `synkti version`: what this program is, and whose work is in it. */
import type { Cli } from './cli.ts';
import { notices, release } from './executable.ts';
import { exit, print, printJson, say, type Io } from './io.ts';
import { jsonOption, withExamples } from './option.ts';

type Options = { readonly json?: true; readonly notices?: true };

export function versionCommand({ program, io, ends }: Cli): void {
  const command = program
    .command('version')
    .summary('print the version or the third-party licences')
    .description('Prints the version, and with --notices the licences of everything inside.')
    .addOption(jsonOption())
    .option('--notices', 'print the third-party licences');
  withExamples(command, [
    ['synkti version --json', 'version, commit, Node.js and platform'],
    ['synkti version --notices | less', 'the licences of what is bundled in'],
  ]).action((options: Options) => ends(Promise.resolve(version(options, io))));
}

export function versionText(): string {
  const { version, commit } = release();
  return `synkti ${version} (${commit ?? 'from source'}, ${process.platform} ${process.arch}, Node.js ${process.versions.node})`;
}

function version(options: Options, io: Io): number {
  if (options.notices === true) return printNotices(io);
  const { platform, arch, versions } = process;
  if (options.json === true) printJson(io, { ...release(), node: versions.node, platform, arch });
  else print(io, versionText());
  return exit.done;
}

function printNotices(io: Io): number {
  const text = notices();
  if (text === null) {
    say(io, 'notices are inside the built executable; here they lie in node_modules beside each package');
    return exit.refused;
  }
  print(io, text);
  return exit.done;
}
