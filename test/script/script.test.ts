import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { isSet, json, list, minutes, oneOf, text, whole, wholeFrom } from './flags.ts';
import { answer, Misuse, type Given, type Script } from './script.ts';

const flags = {
  times: whole('so many', { least: 1, otherwise: 3 }),
  seed: whole('of the dice', { least: 0, otherwise: null }),
  minutes: minutes('of traffic', 2),
  fault: oneOf('what breaks', { names: ['kill', 'freeze'], otherwise: 'kill' }),
  only: list('NUMBERS', 'these', (number) => wholeFrom(number, 0)),
  logs: text('DIR', 'kept there'),
  maySkip: isSet('may be left out'),
  json,
};
const script: Script<typeof flags> = {
  ...{ name: 'bench:it', about: 'It measures.', flags, more: ['Suites:', '  one'] },
  example: 'npm run bench:it -- --times 4',
};
const usual = {
  ...{ times: 3, seed: null, minutes: 2, fault: 'kill', only: null, logs: null, maySkip: false, json: false },
};

type Told = { code: number; out: string; err: string; given: Given<typeof flags> | null };

async function ask(line: string, run: () => Promise<number> = async () => 0): Promise<Told> {
  const told: Told = { code: -1, out: '', err: '', given: null };
  const streams = {
    stdout: { write: (text: string) => (told.out += text) },
    stderr: { write: (text: string) => (told.err += text) },
  };
  const args = line === '' ? [] : line.split(' ');
  told.code = await answer(
    script,
    args,
    (given) => {
      told.given = given;
      return run();
    },
    streams,
  );
  return told;
}

test('without a flag everything is as usual, and the exit code is what the run says', async () => {
  const told = await ask('', async () => 1);
  deepEqual({ ...told, given: { ...told.given } }, { code: 1, out: '', err: '', given: usual });
});

test('each flag arrives', async () => {
  const line = '--times 4 --seed 0 --minutes 0.5 --fault freeze --only 3,0 --logs /x --may-skip --json';
  deepEqual(
    { ...(await ask(line)).given },
    {
      ...{ times: 4, seed: 0, minutes: 0.5, fault: 'freeze', only: [3, 0], logs: '/x' },
      ...{ maySkip: true, json: true },
    },
  );
  deepEqual((await ask('--only none')).given?.only, []);
});

for (const [line, complaint] of [
  ['--tiems 3', "unknown option '--tiems' (Did you mean --times?)"],
  ['3', 'too many arguments. Expected 0 arguments but got 1: 3.'],
  ['--times', "option '--times <N>' argument missing"],
  ['--logs --json', "option '--logs <DIR>' argument '--json' is invalid. It needs a value."],
  ['--logs=', "option '--logs <DIR>' argument '' is invalid. It needs a value."],
  ['--times 0', "option '--times <N>' argument '0' is invalid. What is wanted is a whole number from 1."],
  ['--seed 1e3', "option '--seed <N>' argument '1e3' is invalid. What is wanted is a whole number from 0."],
  ['--minutes 0', "option '--minutes <N>' argument '0' is invalid. What is wanted is a number above 0."],
  ['--minutes two', "option '--minutes <N>' argument 'two' is invalid. What is wanted is a number above 0."],
  ['--fault kil', "option '--fault <NAME>' argument 'kil' is invalid. There is kill, freeze."],
  [
    '--only 1,x',
    "option '--only <NUMBERS>' argument '1,x' is invalid. What is wanted is a whole number from 0.",
  ],
] as const)
  test(`${line} is refused in one line, before anything is begun`, async () => {
    deepEqual(await ask(line), {
      ...{ code: 2, out: '', given: null },
      err: `bench:it: ${complaint} (--help has them all)\n`,
    });
  });

test('what a run finds missing is said the same way, and what is a bug is thrown', async () => {
  const { code, err } = await ask('', () => Promise.reject(new Misuse('no such trace: x')));
  deepEqual([code, err], [2, 'bench:it: no such trace: x (--help has them all)\n']);
  const bug = new Error('a bug');
  equal(await ask('', () => Promise.reject(bug)).catch((error: unknown) => error), bug);
});

test('the help has the call, each flag with what it is otherwise, and an example that is one', async () => {
  const { code, out, err, given } = await ask('--help');
  deepEqual([code, err, given], [0, '', null]);
  match(out, /^Usage: npm run bench:it -- \[flags\]\n\nIt measures\.\n/);
  match(out, /^ {2}--times <N> +so many \(3 by default\)$/m);
  match(out, /^ {2}--seed <N> +of the dice$/m);
  match(out, /^ {2}--may-skip +may be left out$/m);
  match(out, /\n\nSuites:\n {2}one\n\nExit 0: /);
  const [, example] = /\n\nExample: npm run bench:it -- (.+)\n$/.exec(out)!;
  equal((await ask(example!)).code, 0);
  ok(out.split('\n').every((line) => line.length <= 110));
});

const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> };
const files = Object.entries(scripts).flatMap(([name, command]) => {
  const [, file] = /^node (test\/\S+\.ts)$/.exec(command) ?? [];
  return file === undefined ? [] : [{ name, file }];
});

for (const { name, file } of files)
  test(`npm run ${name} -- --help, and a flag that it does not have`, () => {
    const run = (flag: string) =>
      spawnSync(process.execPath, [file, flag], { encoding: 'utf8', timeout: 60_000 });
    const asked = run('--help');
    deepEqual([asked.status, asked.stderr], [0, '']);
    match(asked.stdout, new RegExp(`^Usage: npm run ${name} -- \\[flags\\]\n`));
    match(asked.stdout, new RegExp(`\nExample: npm run (-s )?${name}( -- --.*)?\n$`));
    const wrong = run('--xyzzy');
    deepEqual([wrong.status, wrong.stdout], [2, '']);
    equal(wrong.stderr, `${name}: unknown option '--xyzzy' (--help has them all)\n`);
  });
