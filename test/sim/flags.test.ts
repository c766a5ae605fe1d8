import { deepEqual, equal, match, ok, throws } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { help, readFlags } from './flags.ts';
import { habits, isFaultKind } from './schedule.ts';
import { replayOf } from './seeds.ts';

const usual = {
  ...{ seed: 1, seeds: 1, once: false, twice: false, whole: false, json: false },
  shape: { nodes: null, minutes: 2, kinds: null, only: null, streams: null, watch: null },
};

test('without a flag it is the first seed, as it is drawn', () => {
  deepEqual(readFlags([]), usual);
});

test('each flag arrives', () => {
  const given =
    '--seed 13 --seeds 4 --nodes 8 --minutes 0.5 --faults kill,ec2-out --only 3,0 --streams 0 --watch i-1';
  deepEqual(readFlags([...given.split(' '), '--once', '--twice', '--whole', '--json']), {
    ...{ seed: 13, seeds: 4, once: true, twice: true, whole: true, json: true },
    shape: {
      ...{ nodes: 8, minutes: 0.5, kinds: ['kill', 'ec2-out'], only: [3, 0], streams: 0, watch: 'i-1' },
    },
  });
});

test('a replay is read as what it replays', () => {
  const options = { seed: 7, nodes: 5, minutes: 2, kinds: [], only: null, streams: 0, watch: null };
  const [, args] = replayOf({ ...options, sabotage: null }, []).split(' -- ');
  const { seed, ...shape } = { ...options, only: [] };
  deepEqual(readFlags(args!.split(' ')), { ...usual, seed, shape });
});

for (const [args, problem] of [
  ['--sedes 3', '--sedes: no such flag, did you mean seeds?'],
  ['-s 3', '-s: no such flag'],
  ['13', '13: not a flag'],
  ['--seed', '--seed: needs a value'],
  ['--watch --json', '--watch: needs a value'],
  ['--json=yes', '--json yes: takes no value'],
  ['--seed x', '--seed x: not a whole number from 0'],
  ['--seed 1e3', '--seed 1e3: not a whole number from 0'],
  ['--seeds 0', '--seeds 0: not a whole number from 1'],
  ['--nodes 0', '--nodes 0: not a whole number from 1'],
  ['--minutes two', '--minutes two: not a number above 0'],
  ['--minutes 0', '--minutes 0: not a number above 0'],
  ['--streams -1', '--streams -1: not a whole number from 0'],
  ['--only 1,x', '--only x: not a whole number from 0'],
  ['--faults kil', '--faults kil: no such kind, did you mean kill?'],
] as const)
  test(`${args} is refused: ${problem}`, () => {
    throws(() => readFlags(args.split(' ')), { message: problem });
  });

test('help has every flag and every kind of fault, and ends in an example that is one', () => {
  const text = help();
  for (const flag of [...Object.keys(usual.shape), 'seed', 'seeds', 'once', 'twice', 'whole', 'json', 'help'])
    if (flag !== 'kinds') match(text, new RegExp(`^  --${flag} `, 'm'));
  match(text, /^ {2}--faults KINDS /m);
  const [, kinds] = /Kinds of faults:\n([^]*?)\n\n/.exec(text)!;
  deepEqual(kinds!.trim().split(/\s+/), Object.keys(habits));
  ok(kinds!.trim().split(/\s+/).every(isFaultKind));
  ok(text.split('\n').every((line) => line.length <= 110));
  const [, example] = /Example: npm run sim -- (.+)\n$/.exec(text)!;
  ok(readFlags(example!.split(' ')) !== null);
  equal(readFlags(['--seeds', 'x', '--help']), null);
});

test('the command says so itself, and what is wrong with exit code 2', () => {
  const sim = (...args: string[]) =>
    spawnSync(process.execPath, ['test/sim/sim.ts', ...args], { encoding: 'utf8', timeout: 60_000 });
  const asked = sim('--help');
  deepEqual([asked.status, asked.stdout, asked.stderr], [0, help(), '']);
  const wrong = sim('--seeds', 'many');
  deepEqual(
    [wrong.status, wrong.stdout, wrong.stderr],
    [2, '', 'sim: --seeds many: not a whole number from 1; --help has them all\n'],
  );
});
