/**
 * `npm run e2e:vllm`: a real vLLM behind real nodes. Installs what is missing, then runs one of its suites. One object
 * on stdout, talk on stderr.
 */
import { isSet, json, list, oneOf, whole } from '../script/flags.ts';
import { Misuse, runScript, type Given, type Script } from '../script/script.ts';
import { interruptUnderLoad } from './interruption.ts';
import { models } from './questions.ts';
import { compareAll, recordAll } from './suite.ts';
import { survive, type Survived } from './survival.ts';
import { verdict } from './verdict.ts';
import { prepareVllm, servedWith, type RealVllm } from './vllm.ts';

/** Of two minutes where the line is good. */
const installMs = 60 * 60_000;
/** Where it may be left out. */
const installSoonMs = 10 * 60_000;
/** Two engines of up to four minutes together, one minute of streams, and a machine that is shared. */
const limitMs = 20 * 60_000;
/** Fifteen engines one after the other on a busy machine. */
const suiteLimitMs = 45 * 60_000;

const startedAt = performance.now();
const say = (line: string): void =>
  void process.stderr.write(
    `${((performance.now() - startedAt) / 1000).toFixed(0).padStart(4)} s  ${line}\n`,
  );

type Outcome = { readonly report: object; readonly broken: readonly string[] };

const flags = {
  suite: oneOf('what is tried', {
    names: ['interruption', 'streams', 'conformance'],
    otherwise: 'interruption',
  }),
  nodes: whole('of the first suite', { least: 2, otherwise: 2 }),
  streams: whole('of the first suite', { least: 2, otherwise: 16 }),
  only: list(
    'NAMES',
    'of the second suite: these models, of which there are random and script; of the third: these exchanges',
    (name) => name,
  ),
  record: isSet('the third suite, and what it finds is written to test/real/recordings'),
  maySkip: isSet('exit 0 where a vLLM cannot be had: no package index or a slow one, no Python, no room'),
  json,
};
type Wanted = Given<typeof flags>;

const script: Script<typeof flags> = {
  name: 'e2e:vllm',
  about: 'A real vLLM, of which what is missing is installed, behind real nodes.',
  flags,
  more: [
    'Suites:',
    '  interruption  sixteen streams on two nodes, of which one is interrupted',
    '  streams       three nodes that are stopped, killed and interrupted under streams of every kind; ten minutes a model',
    '  conformance   a list of exchanges, compared with the recordings of a real vLLM; ten minutes',
  ],
  example: 'npm run -s e2e:vllm -- --suite streams --only script --json',
};

async function main(given: Wanted): Promise<number> {
  const wanted = { ...given, only: given.only ?? [], suite: given.record ? 'conformance' : given.suite };
  check(wanted);
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort(new Error(name)));
  const within = (ms: number): AbortSignal => AbortSignal.any([stop.signal, AbortSignal.timeout(ms)]);
  let real;
  try {
    real = await prepareVllm(say, within(wanted.maySkip ? installSoonMs : installMs));
  } catch (error) {
    const skipped = wanted.maySkip && !stop.signal.aborted;
    say(`${skipped ? 'skipped: ' : ''}no vLLM: ${String(error)}`);
    return skipped ? 0 : 1;
  }
  try {
    const limit = within(wanted.suite === 'interruption' ? limitMs : suiteLimitMs);
    const { report, broken } = await run(wanted, real, limit);
    process.stdout.write(`${JSON.stringify(report, null, wanted.json ? 0 : 2)}\n`);
    for (const bound of broken) say(`broken: ${bound}`);
    return broken.length === 0 ? 0 : 1;
  } catch (error) {
    say(String(error));
    return 1;
  }
}

async function run(
  wanted: Wanted & { readonly only: readonly string[] },
  real: RealVllm,
  signal: AbortSignal,
): Promise<Outcome> {
  if (wanted.suite === 'interruption') return interruptUnderLoad(wanted, say, signal);
  if (wanted.suite === 'streams') return surviveAll(wanted, real, signal);
  if (wanted.record) return { report: { recorded: await recordAll(real, wanted.only, say) }, broken: [] };
  const report = await compareAll(real, wanted.only, say);
  return { report, broken: report.different };
}

async function surviveAll(
  { only }: { readonly only: readonly string[] },
  real: RealVllm,
  signal: AbortSignal,
): Promise<Outcome> {
  const names = models.filter((name) => only.length === 0 || only.includes(name));
  const results: Survived[] = [];
  for (const name of names)
    results.push(await survive(name, await servedWith(real, name, say, signal), say, signal));
  return verdict(names, results);
}

/** What one flag says to another. */
function check({ suite, only, nodes, streams }: Wanted & { readonly only: readonly string[] }): void {
  const stranger = only.find((name) => !models.some((model) => model === name));
  if (suite === 'streams' && stranger !== undefined)
    throw new Misuse(`--only ${stranger}: there is ${models.join(', ')}`);
  if (streams < nodes) throw new Misuse(`--streams ${streams}: not below the ${nodes} nodes`);
}

await runScript(script, main);
