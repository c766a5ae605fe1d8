/**
 * `npm run soak -- --minutes 20`: mixed traffic with a kill every ten seconds, and what the nodes that live through all
 * of it hold afterwards: memory that does not grow, no journal and no socket of a stream that has ended. `--json`
 * prints one object. Exit 1 when something leaks, or when a stream is harmed.
 */
import { randomInt } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { buildExecutable } from '../../../src/build/executable.ts';
import { newestProgram } from '../../lab/program.ts';
import { json, minutes, text, whole } from '../../script/flags.ts';
import { runScript, type Given, type Script } from '../../script/script.ts';
import { Chance } from './chance.ts';
import { brokenBounds, isQuiet, journalsOf, memoryGrowth, socketGrowth, type SoakReport } from './leaks.ts';
import { mixedQuestions } from './mixed.ts';
import { plans } from './plan.ts';
import { complaintOf, isAmiss, reportOf } from './report.ts';
import { openDevSite, type Site } from './site.ts';
import { clientOf, openTraffic } from './traffic.ts';
import { vitalsOf, type Vitals } from './vitals.ts';

const killEveryMs = 10_000;
const lookEveryMs = 5_000;
/** What streams used is given back by then, ms: copies for an entry node that was killed are kept for five minutes. */
const settleMs = 400_000;

const plan = { ...plans.kill, spared: 2 };
const say = (line: string): void => void process.stderr.write(`${line}\n`);

const flags = {
  minutes: minutes('of traffic', 20),
  seed: whole('of the dice, instead of one of its own', { least: 0, otherwise: null }),
  facts: text('FILE', 'keeps there what the nodes say'),
  json,
};
const script: Script<typeof flags> = {
  name: 'soak',
  about: 'Mixed traffic with a kill every 10 s; then whether memory, sockets and journals were given back.',
  flags,
  example: 'npm run -s soak -- --minutes 20 --json',
};

async function main({ minutes, seed, facts, json }: Given<typeof flags>): Promise<number> {
  if (!newestProgram().built) await buildExecutable('dist/synkti', say);
  const chance = new Chance(seed ?? randomInt(2 ** 31));
  const site = await openDevSite({
    ...{ plan, suite: 'mixed', program: newestProgram().start, factsFile: facts },
  });
  try {
    const report = await soak(site, minutes, chance);
    process.stdout.write(`${JSON.stringify(report, null, json ? 0 : 2)}\n`);
    const broken = brokenBounds(report);
    for (const bound of broken) say(`broken: ${bound}`);
    return broken.length === 0 ? 0 : 1;
  } finally {
    await site.close();
  }
}

async function soak(site: Site, minutes: number, chance: Chance): Promise<SoakReport> {
  const mixed = await mixedQuestions(clientOf(site.entries[0]!));
  const { entries, all } = site;
  const before = await look(site);
  const ask = (dice: Chance) => dice.of(mixed);
  const traffics = [
    openTraffic({ entries, durable: false, ask }, chance.fork()),
    openTraffic({ entries: all, durable: true, ask }, chance.fork()),
  ];
  const looks: Vitals[][] = [];
  let kills = 0;
  const until = performance.now() + minutes * 60_000;
  for (let round = 1; performance.now() < until; round++) {
    await pause(lookEveryMs);
    looks.push(await look(site));
    if ((round * lookEveryMs) % killEveryMs !== 0) continue;
    const victims = await site.victims();
    if (victims.length <= plan.nodes - plan.spared - plan.awayMax) continue;
    await site.order('kill', chance.of(victims));
    kills++;
  }
  const told = (await Promise.all(traffics.map((traffic) => traffic.finish()))).flat();
  for (const stream of told.filter(isAmiss).slice(0, 10)) say(complaintOf(stream));
  const after = await settled(site, before);
  const { facts } = site;
  const streams = reportOf({ fault: 'kill', suite: 'mixed', times: kills, told, facts, leaves: [] });
  const { cut, wrongTokens, doubledTokens, declared, resumed, moved } = streams;
  return {
    ...{ minutes, kills, streams: told.length, cut, wrongTokens, doubledTokens, declared, resumed, moved },
    rssMb: memoryGrowth(looks),
    sockets: socketGrowth(before, after),
    journals: journalsOf(after),
  };
}

/** The nodes that live through all of it. */
const look = (site: Site): Promise<Vitals[]> => Promise.all(site.spared.map(vitalsOf));

async function settled(site: Site, before: readonly Vitals[]): Promise<Vitals[]> {
  const since = performance.now();
  for (;;) {
    const now = await look(site);
    if (isQuiet(before, now) || performance.now() - since > settleMs) return now;
    await pause(1_000);
  }
}

await runScript(script, main);
