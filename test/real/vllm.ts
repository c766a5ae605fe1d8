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

/** Enough for 32 sequences of 4,096 tokens of the tiny model several times over. */
const kvCacheGigabytes = 1;

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

/** Installs and makes what is missing, minutes the first time and a moment later. Failures as `installVllm`. */
export async function prepareVllm(report: Progress, signal: AbortSignal): Promise<RealVllm> {
  const { python, vllm } = await installVllm(report, signal);
  const script = new URL('make-model.py', import.meta.url);
  const model = join(cacheRoot(), `tiny-llama-${await hashOf(script)}`);
  await makeOnce(model, signal, async () => {
    report('making a tiny model');
    await promisify(execFile)(python, [fileURLToPath(script), model], { signal, timeout: 120_000 });
  });
  const real: RealVllm = { vllm, model, env: environment };
  await point(real);
  return real;
}

/** Tells others of this user where the newest one is. */
async function point(real: RealVllm): Promise<void> {
  const file = join(cacheRoot(), 'vllm.json');
  await mkdir(dirname(file), { recursive: true });
  await writeFile(`${file}.${process.pid}`, JSON.stringify({ ...real, args: exactFlags }, null, 2));
  await rename(`${file}.${process.pid}`, file);
}
