/**
 * A real vLLM with a tiny model, ready to be launched: what the end-to-end run and the conformance suite serve with,
 * and what `synkti dev --engine vllm` finds through the pointer file in the cache folder.
 */
import { execFile } from 'node:child_process';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { cacheRoot, hashOf, makeOnce } from './cache.ts';
import { installVllm, type Progress } from './install.ts';

export type RealVllm = {
  /** The program: `<vllm> serve <model> …`. */
  readonly vllm: string;
  /** The folder of the tiny model. */
  readonly model: string;
  readonly env: Readonly<Record<string, string>>;
};

/** One that a cluster is to serve with. */
export type Served = RealVllm & { readonly args: readonly string[] };

/** Enough for 32 sequences of 4,096 tokens of the tiny model several times over. */
const kvCacheGigabytes = 1;

/** A model is made in twenty seconds of one core at most, on a busy machine in minutes. */
const makeMs = 300_000;

/** What a vLLM on the CPU of a test machine wants around it: no hub, no telemetry, one thread, little memory. */
const environment = {
  HF_HUB_OFFLINE: '1',
  TRANSFORMERS_OFFLINE: '1',
  VLLM_NO_USAGE_STATS: '1',
  DO_NOT_TRACK: '1',
  NO_COLOR: '1',
  PYTHONHASHSEED: '0',
  VLLM_CPU_KVCACHE_SPACE: `${kvCacheGigabytes}`,
  VLLM_CPU_OMP_THREADS_BIND: 'nobind',
  OMP_NUM_THREADS: '1',
} as const;

/** Flags under which greedy answers are equal to the last token however they are batched and cut. */
export const exactFlags = [
  '--dtype=float32',
  '--enforce-eager',
  '--max-num-seqs=32',
  '--max-model-len=4096',
] as const;

/** With which the model that has learnt to think and to call is understood. */
const parserFlags = [
  '--enable-auto-tool-choice',
  '--tool-call-parser=hermes',
  '--reasoning-parser=qwen3',
] as const;

/** Installs and makes what is missing, minutes the first time and a moment later. Failures as `installVllm`. */
export async function prepareVllm(report: Progress, signal: AbortSignal): Promise<RealVllm> {
  const { python, vllm } = await installVllm(report, signal);
  const model = await made({ script: 'make-model.py', name: 'tiny-llama', python }, report, signal);
  const real: RealVllm = { vllm, model, env: environment };
  await point(real);
  return real;
}

/** What a cluster is to serve with: the model of `prepareVllm`, or the one that says by heart what it has learnt. */
export async function servedWith(
  real: RealVllm,
  name: 'random' | 'script',
  report: Progress,
  signal: AbortSignal,
): Promise<Served> {
  if (name === 'random') return { ...real, args: exactFlags };
  const python = join(dirname(real.vllm), 'python');
  const model = await made({ script: 'make-script-model.py', name: 'script-llama', python }, report, signal);
  return { ...real, model, args: [...exactFlags, ...parserFlags] };
}

/** The folder of a model that a script of ours makes, once. */
async function made(
  { script, name, python }: { readonly script: string; readonly name: string; readonly python: string },
  report: Progress,
  signal: AbortSignal,
): Promise<string> {
  const file = new URL(script, import.meta.url);
  const model = join(cacheRoot(), `${name}-${await hashOf(file)}`);
  await makeOnce(model, signal, async () => {
    report(`making a tiny model: ${name}`);
    await promisify(execFile)(python, [fileURLToPath(file), model], { signal, timeout: makeMs });
  });
  return model;
}

/** Tells others of this user where the newest one is. */
async function point(real: RealVllm): Promise<void> {
  const file = join(cacheRoot(), 'vllm.json');
  await mkdir(dirname(file), { recursive: true });
  await writeFile(`${file}.${process.pid}`, JSON.stringify({ ...real, args: exactFlags }, null, 2));
  await rename(`${file}.${process.pid}`, file);
}
