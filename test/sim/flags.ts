/** The command line of the simulator: what it says of itself, and what it is asked for. */
import { parseArgs } from 'node:util';
import { didYouMean } from '../../src/config/nearest.ts';
import type { RunOptions } from './run.ts';
import { habits, isFaultKind, type FaultKind } from './schedule.ts';

export type Flags = {
  /** The first of them; they follow each other. */
  readonly seed: number;
  readonly seeds: number;
  /** Of every run, whatever its seed. */
  readonly shape: Omit<RunOptions, 'seed' | 'sabotage'>;
  readonly once: boolean;
  readonly twice: boolean;
  readonly whole: boolean;
  readonly json: boolean;
};

/** Each flag, what stands for its value (null: it has none), and what it does. */
const known = {
  seed: ['N', 'the first seed, 1 by default'],
  seeds: ['N', 'so many, each twice if there are several, on all cores'],
  nodes: ['N', 'at the start, instead of as many as the seed draws; a large run brings times'],
  minutes: ['N', 'of faults, 2 by default'],
  faults: ['KINDS', 'these kinds only, with commas between them; none for none'],
  streams: ['N', 'so many requests of clients; 0: membership alone'],
  only: ['NUMBERS', "these faults of the seed's schedule only, as a replay names them; none for none"],
  watch: ['INSTANCE', 'all facts of this instance and about it, on stderr'],
  once: [null, 'no second run'],
  twice: [null, 'a second run of a single seed too'],
  whole: [null, 'a failure is not made smaller'],
  json: [null, 'one line of JSON'],
  help: [null, 'this'],
} as const satisfies Readonly<Record<string, readonly [value: string | null, what: string]>>;

type Flag = keyof typeof known;
const flags = Object.keys(known) as Flag[];
const isFlag = (name: string): name is Flag => Object.hasOwn(known, name);
const options = Object.fromEntries(
  flags.map((flag) => [flag, { type: known[flag][0] === null ? 'boolean' : 'string' }] as const),
);

export function help(): string {
  return [
    'npm run sim -- [FLAGS]     simulated clusters under virtual time, faults drawn from each seed',
    '',
    ...flags.map((flag) => `  ${`--${flag} ${known[flag][0] ?? ''}`.padEnd(20)}  ${known[flag][1]}`),
    '',
    'Kinds of faults:',
    ...inLines(Object.keys(habits).map((kind) => ` ${kind}`)),
    '',
    'Exit 0 when every promise was kept. 1 when one was broken: then each broken seed has its replay command and a',
    'shrunk list of faults. 2 when it was asked for what there is not.',
    '',
    'Example: npm run sim -- --seed 1 --seeds 20 --once',
    '',
  ].join('\n');
}

/** null: only help is wanted. Throws an Error whose message names the flag that is wrong. */
export function readFlags(args: readonly string[]): Flags | null {
  const all = parsed(args);
  if (all.has('help')) return null;
  const has = (flag: Flag): boolean => all.has(flag);
  const text = (flag: Flag): string | null => all.get(flag) ?? null;
  const number = (flag: Flag, least: number): number | null => {
    const given = text(flag);
    return given === null ? null : wholeFrom(flag, given, least);
  };
  return {
    seed: number('seed', 0) ?? 1,
    seeds: number('seeds', 1) ?? 1,
    shape: {
      nodes: number('nodes', 1),
      minutes: minutesFrom(text('minutes')) ?? 2,
      kinds: listFrom(text('faults'))?.map(kindFrom) ?? null,
      only: listFrom(text('only'))?.map((index) => wholeFrom('only', index, 0)) ?? null,
      streams: number('streams', 0),
      watch: text('watch'),
    },
    ...{ once: has('once'), twice: has('twice'), whole: has('whole'), json: has('json') },
  };
}

/** Those that are there, each with its value. */
function parsed(args: readonly string[]): ReadonlyMap<Flag, string> {
  const { tokens } = parseArgs({
    args: [...args],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const given = new Map<Flag, string>();
  for (const token of tokens) {
    if (token.kind === 'positional') throw new Error(`${token.value}: not a flag`);
    if (token.kind !== 'option') continue;
    const { rawName, name, value } = token;
    if (!isFlag(name)) throw new Error(`${rawName}: no such flag${didYouMean(name, flags)}`);
    const wanted = known[name][0];
    if (wanted === null && value !== undefined) throw new Error(`${rawName} ${value}: takes no value`);
    if (wanted !== null && /^$|^--/.test(value ?? '')) throw new Error(`${rawName}: needs a value`);
    given.set(name, value ?? '');
  }
  return given;
}

function wholeFrom(flag: Flag, text: string, least: number): number {
  const number = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(number) && number >= least) return number;
  throw new Error(`--${flag} ${text}: not a whole number from ${least}`);
}

function minutesFrom(text: string | null): number | null {
  const minutes = text === null ? null : Number(text);
  if (minutes === null || (minutes > 0 && minutes < Infinity)) return minutes;
  throw new Error(`--minutes ${text}: not a number above 0`);
}

const listFrom = (text: string | null): string[] | null =>
  text === null ? null : text === 'none' ? [] : text.split(',');

function kindFrom(text: string): FaultKind {
  if (isFaultKind(text)) return text;
  throw new Error(`--faults ${text}: no such kind${didYouMean(text, Object.keys(habits))}`);
}

/** No longer than the lines above. */
function inLines(words: readonly string[]): readonly string[] {
  const lines = [' '];
  for (const word of words)
    if (lines.at(-1)!.length + word.length > 100) lines.push(` ${word}`);
    else lines[lines.length - 1] += word;
  return lines;
}
