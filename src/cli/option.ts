/** Options whose values are the kinds that settings have, so that a command line is read by one set of rules. */
import { Option, type Command } from 'commander';
import type { Kind } from '../config/kinds.ts';
import { Misuse } from './io.ts';

export function optionOf<T>(flag: string, kind: Kind<T>, help: string): Option {
  return new Option(`${flag} <${kind.placeholder}>`, help).argParser((written: string) => {
    const value = kind.parse(written);
    if (value === undefined) throw new Misuse(`${flag}: ${JSON.stringify(written)} is not ${kind.expects}`);
    return value;
  });
}

export const jsonOption = (): Option => new Option('--json', 'print one JSON object instead of text');

/** Every help ends in these. */
export function withExamples(
  command: Command,
  examples: readonly (readonly [call: string, why: string])[],
): Command {
  const width = Math.max(...examples.map(([call]) => call.length));
  const lines = examples.map(([call, why]) => `  ${call.padEnd(width)}  ${why}`);
  return command.addHelpText('after', `\nExamples:\n${lines.join('\n')}`);
}
