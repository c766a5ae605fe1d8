/**
 * `npm run bench:gateway`: what synkti takes of a core and of time beside vLLM's own router, nginx and a bare proxy in
 * Node.js, in front of the same simulated engines, one after the other on the same core. Clients, engines and all other
 * nodes have the other cores. CPU time is that of a gateway's whole process, with all of its threads. synkti routes,
 * asks for a key, keeps metrics and copies its journal to two other nodes meanwhile.
 *
 * `--json` prints one object; `--profile FILE` keeps a CPU profile of the entry node's main thread under streams. Exit
 * 1 when a bound is broken.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildExecutable } from '../../../src/build/executable.ts';
import { newestProgram, type Program } from '../../lab/program.ts';
import { installRouter } from './install.ts';
import { askInTurn, askStreams, askWhole, withCrowd, type Groups, type Spent } from './load.ts';
import { crowd, rounds, tokenMs } from './plan.ts';
import { pinOther, rssMb } from './process.ts';
import { profiled } from './profile.ts';
import { brokenBounds, costOf, inWords, type Findings, type Report } from './report.ts';
import { withSite, type Name, type Site } from './site.ts';

const say = (line: string): void => void process.stderr.write(`${line}\n`);

type Busy = Pick<Findings, 'whole' | 'streams' | 'firstMs'>;
type Measured = { readonly busy: ReadonlyMap<Name, Busy>; readonly directMs: readonly number[] };

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { json: { type: 'boolean', default: false }, profile: { type: 'string' } },
  });
  if (process.platform !== 'linux' || availableParallelism() < 2) {
    say('needs Linux and two cores: one for the gateways, one for everything else');
    return 2;
  }
  if (!newestProgram().built) await buildExecutable('dist/synkti', say);
  const router = await installRouter(say);
  const dir = await mkdtemp(join(tmpdir(), 'synkti-gateway-'));
  try {
    pinOther(process.pid);
    const report = await measure({
      dir,
      router,
      profile: values.profile ?? null,
      program: newestProgram().start,
    });
    process.stdout.write(values.json ? `${JSON.stringify(report)}\n` : inWords(report));
    const broken = brokenBounds(report);
    for (const bound of broken) say(`broken: ${bound}`);
    return broken.length === 0 ? 0 : 1;
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

type Wanted = {
  readonly dir: string;
  readonly router: string;
  readonly program: Program;
  /** null: none is wanted. */
  readonly profile: string | null;
};

async function measure({ profile, ...ground }: Wanted): Promise<Report> {
  const busySite = { ...ground, say, tokenMs: tokenMs.busy };
  const { busy, directMs } = await withSite(busySite, (site) => whileBusy(site, profile));
  const crowdedSite = { ...ground, say: () => {}, tokenMs: tokenMs.crowded };
  const rss = await withSite(crowdedSite, whileCrowded);
  const cost = (name: Name): Report[Name] => {
    const [found, mb] = [busy.get(name), rss.get(name)];
    return found === undefined || mb === undefined ? null : costOf({ ...found, rssMb: mb }, directMs);
  };
  const [synkti, vllmRouter] = [cost('synkti'), cost('vllmRouter')];
  return { synkti, vllmRouter, nginx: cost('nginx'), nodeHttp: cost('nodeHttp') };
}

async function whileBusy({ ours, gateways, engine }: Site, profile: string | null): Promise<Measured> {
  const whole = new Map<Name, Spent[]>();
  const streams = new Map<Name, Spent[]>();
  const groups = (name: Name): Groups =>
    name === 'synkti' ? [ours.pids, ours.serving, ours.replicas] : [gateways.get(name)!.pids];
  for (let round = 1; round <= rounds; round++)
    for (const [name, gateway] of gateways) {
      say(`round ${round} of ${rounds}: ${name}`);
      const found = {
        whole: await askWhole(gateway, groups(name)),
        events: await askStreams(gateway, groups(name)),
      };
      note(whole, name, found.whole);
      note(streams, name, found.events);
      say(`  ${usOf(found.whole)} us a request, ${usOf(found.events)} us a chunk`);
    }
  say('first events, in turn');
  const direct = { url: engine, headers: {} };
  const [directMs = [], ...through] = await askInTurn([direct, ...gateways.values()]);
  if (profile !== null) await profiled(ours.pids[0]!, profile, () => askStreams(ours, [ours.pids]));
  const names = [...gateways.keys()];
  const busy = names.map((name, at): [Name, Busy] => [
    name,
    { whole: whole.get(name)!, streams: streams.get(name)!, firstMs: through[at]! },
  ]);
  return { directMs, busy: new Map(busy) };
}

const usOf = ({ units, cost: [us = NaN] }: Spent): string => (us / units).toFixed(1);

/** A number for a load in which answers failed is none. */
function note(all: Map<Name, Spent[]>, name: Name, spent: Spent): void {
  if (spent.failed > 0) throw new Error(`${name}: ${spent.failed} answers were not whole`);
  all.set(name, [...(all.get(name) ?? []), spent]);
}

async function whileCrowded({ ours, gateways }: Site): Promise<ReadonlyMap<Name, number>> {
  const found = new Map<Name, number>();
  for (const [name, gateway] of gateways) {
    say(`${crowd.streams} streams at once: ${name}`);
    const look = async (): Promise<number> => {
      const mb = rssMb(gateway.pids);
      if (name === 'synkti') await needCopies(ours);
      return mb;
    };
    found.set(name, await withCrowd(gateway, look));
  }
  return found;
}

/** Each of them twice, as it is told to clients. */
async function needCopies(ours: Site['ours']): Promise<void> {
  const copies = await ours.copies();
  if (copies < 2 * crowd.streams) throw new Error(`${copies} copies of ${crowd.streams} streams`);
}

process.exitCode = await main();
