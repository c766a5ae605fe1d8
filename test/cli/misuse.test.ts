import { deepEqual, match } from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { synkti } from './io.ts';

test('what is misused ends with 2 and one line on stderr, nothing on stdout', async () => {
  const misuses: readonly (readonly [args: readonly string[], line: RegExp])[] = [
    [['stauts'], /^synkti: unknown command 'stauts' \(Did you mean status\?\)\n$/],
    [['help', 'stauts'], /^synkti: unknown command 'stauts' \(Did you mean status\?\)\n$/],
    [['status', '--jsno'], /^synkti: unknown option '--jsno' \(Did you mean --json\?\)\n$/],
    [
      ['drain', '--within', '5'],
      /^synkti: --within: "5" is not a duration from 0ms to 1h, such as 500ms or 30s\n$/,
    ],
    [['frobnicate'], /^synkti: unknown command 'frobnicate' \(see synkti help\)\n$/],
    [['chaos', 'interrupt'], /^synkti: missing required argument 'node' \(see synkti help chaos\)\n$/],
    [['key', 'new'], /^synkti: missing required argument 'name' \(see synkti help key\)\n$/],
    [
      ['chaos', 'melt', '1'],
      /^synkti: .*'melt' is invalid.* interrupt, kill, freeze, thaw, partition, heal\.\n$/,
    ],
    [['explain', 'member', ''], /^synkti: id: "" names nobody\n$/],
    [['chaos', 'kill', '1', '--notice', '2s'], /^synkti: --notice: has no meaning for kill\n$/],
    [['dev', '--nodes', 'three'], /^synkti: --nodes: "three" is not a number from 1 to 16\n$/],
    [['members', '--node', '1', '--data-dir', '/x'], /^synkti: --data-dir: names a node already, .*\n$/],
    [['run', '--config', '/nonexistent.yaml'], /^synkti: --config \/nonexistent.yaml: no such file\n$/],
    [['run', '--config', ''], /^synkti: --config "": no such file\n$/],
    [
      ['run', '--engine', 'simulated', '--faults=true'],
      /^synkti: --faults: takes no value, it is set by being there\n$/,
    ],
  ];
  for (const [args, line] of misuses) {
    const { code, out, err } = await synkti(args);
    deepEqual([code, out], [2, ''], args.join(' '));
    match(err, line);
  }
  const { code, out, err } = await synkti([]);
  deepEqual([code, out, /^Usage: synkti/.test(err)], [2, '', true]);
});

test('run tells all problems of its flags, variables and file at once', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'synkti-cli-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const file = join(dir, 'synkti.yaml');
  await writeFile(file, 'drian: 3s\n');
  const args = [
    'run',
    '--config',
    file,
    '--api-prot',
    '80',
    '--role',
    'boss',
    'extra',
    '--engine',
    'simulated',
  ];
  const { code, out, err } = await synkti(args, { env: { SYNKTI_API_PORT: 'x' } });
  deepEqual([code, out], [2, '']);
  deepEqual(err.trimEnd().split('\n'), [
    'synkti: --api-prot: no such flag, did you mean --api-port?',
    'synkti: extra: not expected here',
    `synkti: ${file}: drian: no such setting, did you mean drain?`,
    'synkti: --role: "boss" is not worker or edge',
    'synkti: SYNKTI_API_PORT: "x" is not a port from 1 to 65535',
  ]);
});
