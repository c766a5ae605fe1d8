/** `synkti key new`: makes a key for the API. Its digest goes to stdout, as an entry of the list; the key to a person. */
import { hash, randomBytes } from 'node:crypto';
import type { Cli } from './cli.ts';
import { exit, Misuse, print, printJson, type Io } from './io.ts';
import { jsonOption, withExamples } from './option.ts';

/** 256 bits: nobody guesses it, so its digest needs no salt and no slow hash. */
const keyBytes = 32;

type Options = { readonly json?: true };

export function keyCommand({ program, io, ends }: Cli): void {
  const key = program
    .command('key')
    .summary('make API keys')
    .description('Makes keys for the API. The list that --api-keys names holds their digests only.');
  const examples: readonly (readonly [string, string])[] = [
    ['synkti key new alice >> api-keys.yaml', 'one more who may use the API'],
    ['synkti key new ci --json', 'key and digest, for scripts'],
  ];
  withExamples(key, examples);
  const command = key
    .command('new')
    .summary('make a key')
    .description(
      'Prints an entry for the list of API keys. The key itself is shown once, on stderr, and is kept nowhere.',
    )
    .argument('<name>', 'whose key it is')
    .addOption(jsonOption());
  withExamples(command, examples).action((name: string, options: Options) =>
    ends(Promise.resolve(newKey(name, options, io))),
  );
}

function newKey(name: string, { json }: Options, io: Io): number {
  if (!/^[\w.@-]{1,64}$/.test(name))
    throw new Misuse(`${JSON.stringify(name)}: expected letters, digits, ".", "_", "@" and "-", up to 64`);
  const key = `sk-${randomBytes(keyBytes).toString('base64url')}`;
  const sha256 = hash('sha256', key, 'hex');
  if (json === true) {
    printJson(io, { name, key, sha256 });
    return exit.done;
  }
  print(io, `- name: ${JSON.stringify(name)}\n  sha256: ${sha256}`);
  io.err.write(`the key of ${name}, shown this once: ${key}\n`);
  return exit.done;
}
