import { deepEqual, equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import { answer } from '../script/script.ts';
import { script, type SimFlags } from './flags.ts';
import { habits } from './schedule.ts';
import { replayOf } from './seeds.ts';

async function ask(args: readonly string[]): Promise<{ given: SimFlags | null; said: string }> {
  let given: SimFlags | null = null;
  let said = '';
  const stream = { write: (text: string) => (said += text) };
  const run = (flags: SimFlags): Promise<number> => {
    given = flags;
    return Promise.resolve(0);
  };
  await answer(script, args, run, { stdout: stream, stderr: stream });
  return { given, said };
}

test('a replay is read as what it replays', async () => {
  const { faults: kinds, ...rest } = { nodes: 5, minutes: 2, faults: [], streams: 0, watch: null };
  const options = { seed: 7, ...rest, kinds, only: null, sabotage: null };
  const [, args] = replayOf(options, [3, 0]).split(' -- ');
  const { given } = await ask(args!.split(' '));
  deepEqual(
    { ...given },
    {
      ...{ seed: 7, seeds: 1, ...rest, faults: [], only: [3, 0] },
      ...{ once: false, twice: false, whole: false, json: false },
    },
  );
});

test('a fault that there is not is refused with those that there are', async () => {
  const { given, said } = await ask(['--faults', 'kill,kil']);
  equal(given, null);
  match(said, /^sim: option '--faults <KINDS>' argument 'kill,kil' is invalid\. There is kill, power, /);
});

test('help has every kind of fault', async () => {
  const { said } = await ask(['--help']);
  const [, kinds] = /Kinds of faults:\n([^]*?)\n\n/.exec(said)!;
  deepEqual(kinds!.trim().split(/\s+/), Object.keys(habits));
});
