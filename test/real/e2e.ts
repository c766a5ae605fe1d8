/**
 * `npm run e2e:vllm`: a real vLLM behind real nodes. Installs what is missing, then
 *
 *   (nothing)               two nodes, sixteen streams, one node interrupted
 *   --suite streams         three nodes that are stopped, killed and interrupted under streams of every kind; `--only`
 *                           random or script for one of the two models (ten minutes each)
 *   --suite conformance     the list of exchanges, compared with the recordings (ten minutes)
 *   --record                the same, written to test/real/recordings; `--only NAME` for a part
 *
 * One object on stdout with --json, talk on stderr. Exit 1 when a bound is broken, 2 when misused; with --may-skip
 * exit 0 where a vLLM cannot be had (no package index or a slow one, no Python, no room), and it says why.
 */
import { parseArgs } from 'node:util';
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

process.exitCode = await main();

type Outcome = { readonly report: object; readonly broken: readonly string[] };
type Flags = ReturnType<typeof readFlags>;

async function main(): Promise<number> {
  let flags;
  try {
    flags = readFlags();
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    return 2;
  }
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort(new Error(name)));
  const within = (ms: number): AbortSignal => AbortSignal.any([stop.signal, AbortSignal.timeout(ms)]);
  let real;
  try {
    real = await prepareVllm(say, within(flags.maySkip ? installSoonMs : installMs));
  } catch (error) {
    const skipped = flags.maySkip && !stop.signal.aborted;
    say(`${skipped ? 'skipped: ' : ''}no vLLM: ${String(error)}`);
    return skipped ? 0 : 1;
  }
  try {
    const limit = within(flags.suite === 'interruption' ? limitMs : suiteLimitMs);
    const { report, broken } = await run(flags, real, limit);
    process.stdout.write(`${JSON.stringify(report, null, flags.json ? 0 : 2)}\n`);
    for (const bound of broken) say(`broken: ${bound}`);
    return broken.length === 0 ? 0 : 1;
  } catch (error) {
    say(String(error));
    return 1;
  }
}

async function run(flags: Flags, real: RealVllm, signal: AbortSignal): Promise<Outcome> {
  if (flags.suite === 'interruption') return interruptUnderLoad(flags, say, signal);
  if (flags.suite === 'streams') return surviveAll(flags, real, signal);
  if (flags.record) return { report: { recorded: await recordAll(real, flags.only, say) }, broken: [] };
  const report = await compareAll(real, flags.only, say);
  return { report, broken: report.different };
}

async function surviveAll({ only }: Flags, real: RealVllm, signal: AbortSignal): Promise<Outcome> {
  const names = models.filter((name) => only.length === 0 || only.includes(name));
  const results: Survived[] = [];
  for (const name of names)
    results.push(await survive(name, await servedWith(real, name, say, signal), say, signal));
  return verdict(names, results);
}

/** Throws an Error whose message says what is wrong with them. */
function readFlags() {
  const { values } = parseArgs({
    options: {
      json: { type: 'boolean', default: false },
      record: { type: 'boolean', default: false },
      suite: { type: 'string', default: 'interruption' },
      only: { type: 'string', multiple: true, default: [] },
      nodes: { type: 'string', default: '2' },
      streams: { type: 'string', default: '16' },
      'may-skip': { type: 'boolean', default: false },
    },
  });
  const { json, record, suite, only, 'may-skip': maySkip } = values;
  const [nodes, streams] = [Number(values.nodes), Number(values.streams)];
  if (!['interruption', 'streams', 'conformance'].includes(suite))
    throw new Error('--suite: interruption, streams or conformance');
  if (suite === 'streams' && !only.every((name) => (models as readonly string[]).includes(name)))
    throw new Error('--only: random or script');
  if (!Number.isInteger(nodes) || nodes < 2) throw new Error('--nodes: a number from 2');
  if (!Number.isInteger(streams) || streams < nodes) throw new Error('--streams: a number not below --nodes');
  return { json, record, only, maySkip, nodes, streams, suite: record ? 'conformance' : suite };
}
