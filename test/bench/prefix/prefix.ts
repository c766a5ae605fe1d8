/**
 * `npm run bench:prefix -- --trace FILE --json`: how much of what one endless cache for all would save is saved by
 * routing, when each node has only its own, and how evenly the prompts are spread. Where prompts are at home depends on
 * what the nodes are called, so several fleets of eight are tried; the ratio told is the lowest, the load the highest.
 *
 * `afterLoss`: the same with two of the eight lost at half of the trace, over the whole trace, loads of those that stay.
 * Exit 1 when a bound is broken, 2 when there is no trace.
 */
import { existsSync } from 'node:fs';
import { json, text } from '../../script/flags.ts';
import { Misuse, runScript, type Given, type Script } from '../../script/script.ts';
import { serve, type Served } from './fleet.ts';
import { readTrace } from './trace.ts';

const bounds = { ratio: 0.9, maxOverMeanLoad: 1.2 };
const nodes = 8;
const lost = 2;
const fleets = 10;

const flags = { trace: text('FILE', 'of requests, one of JSON in each line'), json };
const script: Script<typeof flags> = {
  name: 'bench:prefix',
  about:
    'How many blocks of the prompts of a trace a fleet of eight finds in its caches, beside one endless cache for all.',
  flags,
  example: 'npm run -s bench:prefix -- --trace trace.jsonl --json',
};

async function measure({ trace: file, json }: Given<typeof flags>): Promise<number> {
  if (file === null) throw new Misuse('--trace FILE is missing: a trace of requests');
  if (!existsSync(file)) throw new Misuse(`no such trace: ${file}`);
  const trace = readTrace(file);
  const run = (fleet: number, lost: number): Served => {
    const names = Array.from({ length: nodes }, (_, i) => `i-${fleet}-${i}`);
    return serve(trace, { names, lost, seed: fleet });
  };
  const undisturbed = Array.from({ length: fleets }, (_, fleet) => run(fleet, 0));
  const disturbed = Array.from({ length: fleets }, (_, fleet) => run(fleet, lost));
  const { blocks, bestHits } = undisturbed[0]!;
  const hits = Math.min(...undisturbed.map((one) => one.hits));
  const result = {
    bestHitRate: rounded(bestHits / blocks),
    hitRate: rounded(hits / blocks),
    ...worst(undisturbed),
    afterLoss: worst(disturbed),
  };
  if (json) console.log(JSON.stringify(result));
  else tell(result);
  const holds = [result, result.afterLoss].every(
    ({ ratio, maxOverMeanLoad }) => ratio >= bounds.ratio && maxOverMeanLoad <= bounds.maxOverMeanLoad,
  );
  return holds ? 0 : 1;
}

type Measured = { readonly ratio: number; readonly maxOverMeanLoad: number };

function worst(served: readonly Served[]): Measured {
  return {
    ratio: rounded(Math.min(...served.map(({ hits, bestHits }) => hits / bestHits))),
    maxOverMeanLoad: rounded(Math.max(...served.map(({ maxOverMeanLoad }) => maxOverMeanLoad))),
  };
}

function rounded(value: number): number {
  return Number(value.toFixed(4));
}

type Rates = Measured & {
  readonly bestHitRate: number;
  readonly hitRate: number;
  readonly afterLoss: Measured;
};

function tell({ bestHitRate, hitRate, afterLoss, ...whole }: Rates): void {
  console.log(`${nodes} nodes hit ${hitRate} of all blocks, one cache for all ${bestHitRate}`);
  console.log(`ratio ${whole.ratio}, fullest node ${whole.maxOverMeanLoad} times the mean`);
  console.log(`${lost} lost at half: ratio ${afterLoss.ratio}, fullest ${afterLoss.maxOverMeanLoad}`);
}

await runScript(script, measure);
