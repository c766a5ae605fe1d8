/**
 * `npm run bench:chaos -- --fault kill --times 1000`: streams through real daemons of a local cloud while members are
 * taken away at random, each token of each stream held against what it had to be.
 */
import { randomInt } from 'node:crypto';
import { buildExecutable } from '../../../src/build/executable.ts';
import { runTrial, type Ground } from '../../lab/enclosure.ts';
import { newestProgram } from '../../lab/program.ts';
import { json, oneOf, text, whole } from '../../script/flags.ts';
import { runScript, type Given, type Script } from '../../script/script.ts';
import { brokenBounds } from './bounds.ts';
import { Chance } from './chance.ts';
import { strike } from './faults.ts';
import { mixedQuestions } from './mixed.ts';
import { plainQuestion } from './plain.ts';
import { faultNames, plans, suites } from './plan.ts';
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

const flags = {
  fault: oneOf('what becomes of members', { names: faultNames, otherwise: 'kill' }),
  suite: oneOf('what is asked', { names: suites, otherwise: 'plain' }),
  times: whole('so many faults, instead of as many as ten minutes have room for', {
    least: 1,
    otherwise: null,
  }),
  seed: whole('of the dice, instead of one of its own', { least: 0, otherwise: null }),
  facts: text('FILE', 'keeps there what the nodes say'),
  json,
};
const script: Script<typeof flags> = {
  name: 'bench:chaos',
  about:
    'Streams through real daemons of a local cloud while members are taken away at random, each token of each stream held against what it had to be.',
  flags,
  example: 'npm run -s bench:chaos -- --fault pair --times 100 --json',
};

type Wanted = Omit<Given<typeof flags>, 'times' | 'seed'> & { readonly times: number; readonly seed: number };

const say = (line: string): void => void process.stderr.write(`${line}\n`);

async function main(given: Given<typeof flags>): Promise<number> {
  const times = given.times ?? plans[given.fault].times;
  const wanted = { ...given, times, seed: given.seed ?? randomInt(2 ** 31) };
  if (!newestProgram().built) await buildExecutable('dist/synkti', say);
  // Only there can packets be made to vanish.
  return wanted.fault === 'drop'
    ? runTrial((ground) => judge(wanted, ground), runMsMax)
    : judge(wanted, null);
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

await runScript(script, main);
