/**
 * `npm run bench:gateway`: what synkti takes of a core and of time beside vLLM's own router, nginx and a bare proxy in
 * Node.js, in front of the same simulated engines, one after the other on the same core. Clients, engines and all other
 * nodes have the other cores. CPU time is that of a gateway's whole process, with all of its threads. synkti routes,
 * asks for a key, keeps metrics and copies its journal to two other nodes meanwhile.
 *
 * A profile is made of what runs from the sources, for the sake of names.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { buildExecutable } from '../../../src/build/executable.ts';
import { newestProgram, type Program } from '../../lab/program.ts';
import { json, text } from '../../script/flags.ts';
import { runScript, type Given, type Script } from '../../script/script.ts';
import { openEngines } from './engines.ts';
import { installRouter } from './install.ts';
import { askInTurn, askStreams, askWhole, warmUp, withCrowd, type Groups, type Spent } from './load.ts';
import { crowd, rounds, tokenMs } from './plan.ts';
import { openOurs } from './ours.ts';
import { pinOther, rssMb } from './process.ts';
import { profiled } from './profile.ts';
import { brokenBounds, costOf, inWords, type Findings, type Report } from './report.ts';
import { withSite, type Name, type Site } from './site.ts';

/** Until all of a crowd have their copies, ms: who did not take a batch in time gets none for five seconds. */
const copiesMs = 15_000;

const say = (line: string): void => void process.stderr.write(`${line}\n`);

type Busy = Pick<Findings, 'whole' | 'streams' | 'firstMs'>;
type Measured = { readonly busy: ReadonlyMap<Name, Busy>; readonly directMs: readonly number[] };
/** `uneven`: who did not carry what was asked of all. */
type Found = { readonly report: Report; readonly uneven: readonly Name[] };

const flags = {
  profile: text(
    'FILE',
    "compares nothing: keeps CPU profiles of the entry node's main thread under both loads there",
  ),
  json,
};
const script: Script<typeof flags> = {
  name: 'bench:gateway',
  about:
    "What synkti takes of a core and of time beside vLLM's own router, nginx and a bare proxy in Node.js, in front of the same simulated engines.",
  flags,
  example: 'npm run -s bench:gateway -- --json',
};

async function main(given: Given<typeof flags>): Promise<number> {
  if (process.platform !== 'linux' || availableParallelism() < 2) {
    say('needs Linux and two cores: one for the gateways, one for everything else');
    return 2;
  }
  const dir = await mkdtemp(join(tmpdir(), 'synkti-gateway-'));
  try {
    pinOther(process.pid);
    if (given.profile !== null) return await profile(dir, given.profile);
    if (!newestProgram().built) await buildExecutable('dist/synkti', say);
    const router = await installRouter(say);
    const { report, uneven } = await measure({ dir, router, program: newestProgram().start });
    process.stdout.write(given.json ? `${JSON.stringify(report)}\n` : inWords(report));
    const broken = [
      ...uneven.map((name) => `${name} carries what all are asked for`),
      ...brokenBounds(report),
    ];
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
};

async function measure(ground: Wanted): Promise<Found> {
  const busySite = { ...ground, say, tokenMs: tokenMs.busy };
  const { busy, directMs } = await withSite(busySite, whileBusy);
  const crowdedSite = { ...ground, say: () => {}, tokenMs: tokenMs.crowded };
  const rss = await withSite(crowdedSite, whileCrowded);
  const cost = (name: Name): Report[Name] => {
    const [found, mb] = [busy.get(name), rss.get(name)];
    return found === undefined || mb === undefined ? null : costOf({ ...found, rssMb: mb }, directMs);
  };
  const [synkti, vllmRouter] = [cost('synkti'), cost('vllmRouter')];
  const isUneven = ({ whole, streams }: Busy): boolean => [...whole, ...streams].some((one) => one.uneven);
  return {
    report: { synkti, vllmRouter, nginx: cost('nginx'), nodeHttp: cost('nodeHttp') },
    uneven: [...busy].filter(([, found]) => isUneven(found)).map(([name]) => name),
  };
}

async function whileBusy({ ours, gateways, engine }: Site): Promise<Measured> {
  const whole = new Map<Name, Spent[]>();
  const events = new Map<Name, Spent[]>();
  const groups = (name: Name): Groups =>
    name === 'synkti' ? [ours.pids, ours.serving, ours.replicas] : [gateways.get(name)!.pids];
  for (const [name, gateway] of gateways) {
    say(`warming up: ${name}`);
    await warmUp(gateway);
  }
  for (let round = 1; round <= rounds; round++)
    for (const [name, gateway] of gateways) {
      say(`round ${round} of ${rounds}: ${name}`);
      const found = {
        whole: await askWhole(gateway, groups(name)),
        events: await askStreams(gateway, groups(name)),
      };
      note(whole, name, found.whole);
      note(events, name, found.events);
      say(`  requests: ${inShort(found.whole)}`);
      say(`  chunks: ${inShort(found.events)}`);
    }
  say('first tokens, in turn');
  const direct = { url: engine, headers: {} };
  const [directMs = [], ...through] = await askInTurn([direct, ...gateways.values()]);
  const names = [...gateways.keys()];
  const busy = names.map((name, at): [Name, Busy] => [
    name,
    { whole: whole.get(name)!, streams: events.get(name)!, firstMs: through[at]! },
  ]);
  return { directMs, busy: new Map(busy) };
}

const inShort = ({ units, cost, perSecond, uneven }: Spent): string =>
  `${cost.map((us) => (us / units).toFixed(1)).join(' + ')} us each at ${Math.round(perSecond)} a second${uneven ? ', less than was asked of it' : ''}`;

const note = (all: Map<Name, Spent[]>, name: Name, spent: Spent): unknown =>
  all.set(name, [...(all.get(name) ?? []), spent]);

async function whileCrowded({ ours, gateways }: Site): Promise<ReadonlyMap<Name, number>> {
  const found = new Map<Name, number>();
  for (const [name, gateway] of gateways) {
    say(`${crowd.streams} streams at once: ${name}`);
    const look = async (): Promise<number> => {
      if (name === 'synkti') await needCopies(ours);
      return rssMb(gateway.pids);
    };
    found.set(name, await withCrowd(gateway, look));
  }
  return found;
}

/** Each of them twice, sooner or later: a thousand that begin at once are a burst. */
async function needCopies(ours: Site['ours']): Promise<void> {
  for (const late = performance.now() + copiesMs; ; await pause(500)) {
    const copies = await ours.copies();
    if (copies >= 2 * crowd.streams) return;
    if (performance.now() > late) throw new Error(`${copies} copies of ${crowd.streams} streams`);
  }
}

async function profile(dir: string, file: string): Promise<number> {
  const main = join(import.meta.dirname, '../../../src/main.ts');
  const program: Program = (args) => ({ command: process.execPath, args: [main, ...args] });
  await using opened = new AsyncDisposableStack();
  const engines = await openEngines(program, tokenMs.busy);
  opened.defer(() => engines.close());
  const ours = await openOurs({ dir, engines: engines.urls }, program);
  opened.defer(() => ours.close());
  await warmUp(ours);
  const [pid = 0] = ours.pids;
  for (const [name, ask] of [
    ['streams', askStreams],
    ['requests', askWhole],
  ] as const) {
    const spent = await profiled(pid, `${file}.${name}.cpuprofile`, () => ask(ours, [ours.pids]));
    say(`${name}: ${inShort(spent)}`);
  }
  return 0;
}

await runScript(script, main);
