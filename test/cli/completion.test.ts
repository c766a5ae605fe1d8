import { deepEqual, equal, ok } from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { synkti } from './io.ts';
import { devCluster, tempDir } from './nodes.ts';

test('completion knows commands, flags, choices and node numbers', async (t) => {
  const { dir } = await devCluster(t);
  const state = join(await tempDir(t), 'state');
  await mkdir(join(state, 'synkti'), { recursive: true });
  await promisify(execFile)('cp', ['-r', dir, join(state, 'synkti', 'dev')]);
  const words = async (...typed: readonly string[]): Promise<readonly string[]> => {
    const { code, out } = await synkti(['complete', ...typed], { env: { XDG_STATE_HOME: state } });
    equal(code, 0);
    return out.split('\n').flatMap((line) => (line === '' ? [] : line.split('\t')[0]!));
  };
  deepEqual(await words('st'), ['status']);
  deepEqual(await words('chaos', 'f'), ['freeze']);
  deepEqual(await words('chaos', '--json', 'kill', ''), ['1', '2']);
  deepEqual(await words('status', '--node', ''), ['1', '2']);
  deepEqual(await words('run', '--log-l'), ['--log-level']);
  deepEqual(await words('run', '--log-level', ''), ['error', 'warn', 'info', 'debug']);
  deepEqual(await words('run', '--config', ''), [], 'the shell offers files');
  deepEqual(await words('help', 'mem'), ['members']);
  deepEqual(await words('explain', ''), ['member', 'stream']);
  deepEqual(await words('explain', 'stream', ''), []);
  deepEqual(await words('explain', 'member', 'i-2'), ['i-2']);
  deepEqual(await words('nonsense', ''), []);
  ok((await words('')).length > 8);
});

test('the bash script completes through the program itself', async (t) => {
  const bin = await tempDir(t);
  const main = join(import.meta.dirname, '../../src/main.ts');
  await writeFile(join(bin, 'synkti'), `#!/bin/sh\nexec ${process.execPath} ${main} "$@"\n`, { mode: 0o755 });
  const { out } = await synkti(['completion', 'bash']);
  const script = `${out}\nCOMP_WORDS=(synkti completion f); COMP_CWORD=2; _synkti; echo "\${COMPREPLY[@]}"`;
  const env = { PATH: `${bin}:/usr/bin:/bin`, HOME: bin };
  const { stdout } = await promisify(execFile)('bash', ['-c', script], { env });
  equal(stdout, 'fish\n');
});

test('what bash is offered it does not run', async (t) => {
  const bin = await tempDir(t);
  await writeFile(join(bin, 'synkti'), `#!/bin/sh\necho '$(echo ran)'\necho '*'\n`, { mode: 0o755 });
  const { out } = await synkti(['completion', 'bash']);
  const script = `${out}\nCOMP_WORDS=(synkti ''); COMP_CWORD=1; _synkti; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout } = await promisify(execFile)('bash', ['-c', script], {
    env: { PATH: `${bin}:/usr/bin:/bin` },
  });
  equal(stdout, '$(echo ran)\n*\n');
});
