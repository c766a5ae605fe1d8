/** What becomes of one seed: run, run again to see that it is the same run, and made small when it breaks a promise. */
import { run, type Outcome, type RunOptions } from './run.ts';
import { shrink } from './shrink.ts';

export type SeedReport = {
  readonly seed: number;
  readonly outcome: Outcome;
  readonly digestsEqual: boolean;
  readonly steps: number;
  /** null: nothing was broken. */
  readonly complaint: string | null;
};

/** `shrinks`: look for the faults that matter. */
export async function trySeed(
  options: RunOptions,
  { twice, shrinks }: { readonly twice: boolean; readonly shrinks: boolean },
): Promise<SeedReport> {
  const outcome = await run(options);
  const again = twice ? await run(options) : outcome;
  const digestsEqual = outcome.digest === again.digest;
  const broken = outcome.violations.length > 0 || !digestsEqual;
  const complaint = broken ? await complain(options, outcome, shrinks) : null;
  const steps = outcome.steps + (twice ? again.steps : 0);
  return { seed: options.seed, outcome, digestsEqual, steps, complaint };
}

async function complain(options: RunOptions, outcome: Outcome, shrinks: boolean): Promise<string> {
  const [first] = outcome.violations;
  if (first === undefined) {
    const replay = `${replayOf(options, options.only)} --twice`;
    return [`seed ${options.seed}: two runs differ (I10)`, `  replay: ${replay}`].join('\n');
  }
  const all = outcome.faults.map(({ index }) => index);
  const fails = async (only: readonly number[]): Promise<boolean> => {
    const { violations } = await run({ ...options, only });
    return violations.some(({ invariant }) => invariant === first.invariant);
  };
  const kept = shrinks ? await shrink(all, fails) : all;
  const faults = outcome.faults.filter(({ index }) => kept.includes(index));
  return [
    `seed ${options.seed}, ${outcome.nodes} nodes: ${first.invariant} at ${first.at} ms: ${first.what}`,
    ...faults.map(({ index, kind, at, until }) => `  fault ${index}: ${kind} from ${at} to ${until} ms`),
    `  replay: ${replayOf(options, kept)}`,
  ].join('\n');
}

/** `only`: null: all faults. */
export function replayOf(
  { seed, nodes, minutes, kinds, streams }: RunOptions,
  only: readonly number[] | null,
): string {
  const words = ['npm run sim --', `--seed ${seed}`];
  if (nodes !== null) words.push(`--nodes ${nodes}`);
  words.push(`--minutes ${minutes}`);
  if (kinds !== null) words.push(`--faults ${listed(kinds)}`);
  if (streams !== null) words.push(`--streams ${streams}`);
  if (only !== null) words.push(`--only ${listed(only)}`);
  return words.join(' ');
}

const listed = (items: readonly (string | number)[]): string =>
  items.length === 0 ? 'none' : items.join(',');
