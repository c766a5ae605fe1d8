/** What the simulator is asked for. */
import { isSet, json, list, minutes, nameFrom, text, whole, wholeFrom } from '../script/flags.ts';
import type { Given, Script } from '../script/script.ts';
import { habits, type FaultKind } from './schedule.ts';

const kinds = Object.keys(habits) as FaultKind[];

const flags = {
  seed: whole('the first seed', { least: 0, otherwise: 1 }),
  seeds: whole('so many, each twice if there are several, on all cores', { least: 1, otherwise: 1 }),
  nodes: whole('at the start, instead of as many as the seed draws; a large run brings times', {
    least: 1,
    otherwise: null,
  }),
  minutes: minutes('of faults', 2),
  faults: list('KINDS', 'these kinds only, with commas between them; none for none', (kind) =>
    nameFrom(kind, kinds),
  ),
  streams: whole('so many requests of clients; 0: membership alone', { least: 0, otherwise: null }),
  only: list(
    'NUMBERS',
    "these faults of the seed's schedule only, as a replay names them; none for none",
    (number) => wholeFrom(number, 0),
  ),
  watch: text('INSTANCE', 'all facts of this instance and about it, on stderr'),
  once: isSet('no second run'),
  twice: isSet('a second run of a single seed too'),
  whole: isSet('a failure is not made smaller'),
  json,
};

export type SimFlags = Given<typeof flags>;

export const script: Script<typeof flags> = {
  name: 'sim',
  about:
    'Simulated clusters under virtual time, with faults that are drawn from each seed. A seed that broke a promise is told with its replay command and a shrunk list of faults.',
  flags,
  more: ['Kinds of faults:', ...inLines(kinds)],
  example: 'npm run sim -- --seed 1 --seeds 20 --once',
};

/** No longer than the lines above. */
function inLines(words: readonly string[]): readonly string[] {
  const lines = [' '];
  for (const word of words)
    if (lines.at(-1)!.length + word.length > 100) lines.push(`  ${word}`);
    else lines[lines.length - 1] += ` ${word}`;
  return lines;
}
