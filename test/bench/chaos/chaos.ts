/**
 * `npm run bench:chaos -- --fault kill --times 1000`: streams through real daemons of a local cloud while members are
 * taken away at random, each token of each stream held against what it had to be. `--json` prints one object; `--seed`
 * repeats the dice; `--facts FILE` keeps what the nodes say. Exit 1 when a bound is broken.
 */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { buildExecutable } from '../../../src/build/executable.ts';
import { runTrial, type Ground } from '../../lab/enclosure.ts';
import { newestProgram } from '../../lab/program.ts';
import { brokenBounds } from './bounds.ts';
import { Chance } from './chance.ts';
import { strike } from './faults.ts';
import { mixedQuestions } from './mixed.ts';
import { plainQuestion } from './plain.ts';
import { faultNames, plans, suites, type FaultName, type Suite } from './plan.ts';
import { complaintOf, inWords, isAmiss, longestWaits, reportOf, type Findings } from './report.ts';
import { openDevSite, openLabSite } from './site.ts';
import type { Question } from './stream.ts';
import { clientOf, openTraffic } from './traffic.ts';

/** Of streams that did not end as they should, so many are told of one by one. */
const complaintsMax = 10;
/** Facts are read from logs; the last ones are there by then, ms. */
const tailMs = 500;

/** A thousand kills take half an hour on two cores. ms */
const runMsMax = 60 * 60_000;

type Wanted = {
  readonly fault: FaultName;
  readonly suite: Suite;
  readonly times: number;
  readonly seed: number;
  readonly facts: string | null;
  readonly json: boolean;
};

const say = (line: string): void => void process.stderr.write(`${line}\n`);

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      fault: { type: 'string', default: 'kill' },
      suite: { type: 'string', default: 'plain' },
      times: { type: 'string' },
      seed: { type: 'string' },
      facts: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const fault = faultNames.find((name) => name === values.fault);
  const times = Number(values.times ?? (fault === undefined ? 0 : plans[fault].times));
  const suite = suites.find((name) => name === values.suite);
  if (fault === undefined || suite === undefined || !Number.isInteger(times) || times < 1) {
    say(
      `usage: --fault ${faultNames.join('|')} [--suite ${suites.join('|')}] [--times N] [--seed N] [--facts FILE] [--json]`,
    );
    return 2;
  }
  const seed = Number(values.seed ?? randomInt(2 ** 31));
  const wanted = { fault, suite, times, seed, facts: values.facts ?? null, json: values.json };
  if (!newestProgram().built) await buildExecutable('dist/synkti', say);
  // Only there can packets be made to vanish.
  return fault === 'drop' ? runTrial((ground) => judge(wanted, ground), runMsMax) : judge(wanted, null);
}

async function judge(wanted: Wanted, ground: Ground | null): Promise<number> {
  const findings = await run(wanted, ground);
  const report = reportOf(findings);
  process.stdout.write(wanted.json ? `${JSON.stringify(report)}\n` : inWords(report));
  for (const line of longestWaits(findings, 3)) say(line);
  for (const stream of findings.told.filter(isAmiss).slice(0, complaintsMax)) say(complaintOf(stream));
  const broken = brokenBounds(report, findings);
  for (const bound of broken) say(`broken: ${bound}`);
  return broken.length === 0 ? 0 : 1;
}

async function run({ fault, suite, times, seed, facts }: Wanted, ground: Ground | null): Promise<Findings> {
  const plan = plans[fault];
  say(`${plan.nodes} nodes, ${fault} ${times} times, --seed ${seed}`);
  const options = { plan, suite, program: newestProgram().start, factsFile: facts };
  const site = await (ground === null ? openDevSite(options) : openLabSite(options, ground));
  try {
    const startedAt = performance.now();
    const questions = suite === 'mixed' ? await mixedQuestions(clientOf(site.all[0]!)) : null;
    const ask = (chance: Chance): Question =>
      questions === null ? plainQuestion(chance) : chance.of(questions);
    const durable = plan.spared === 0;
    const clients = { entries: durable ? site.all : site.entries, durable, ask };
    const traffic = openTraffic(clients, new Chance(seed + 1));
    const leaves = await strike(site, { fault, plan, times, started: traffic.started }, new Chance(seed));
    const told = await traffic.finish();
    say(`${told.length} streams in ${Math.round((performance.now() - startedAt) / 1_000)} s`);
    await new Promise((resolve) => setTimeout(resolve, tailMs));
    return { fault, suite, times, told, facts: site.facts, leaves };
  } finally {
    await site.close();
  }
}

process.exitCode = await main();
