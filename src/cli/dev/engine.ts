/** Which engine the nodes of a development cluster run, and with which flags. */
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import type { EngineChoice } from '../../config/kinds.ts';
import { Failure } from '../../std/failure.ts';
import type { Io } from '../io.ts';

type DevEngine = {
  readonly flags: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** For the first ones to become ready, ms. */
  readonly readyMs: number;
};

/** `readyMs` of the simulated engine: it starts in a second, several times that where every core is busy. */
const simulatedMs = 60_000;
/** Four real ones at once on two cores take up to four minutes. */
const vllmMs = 600_000;

/** What `npm run e2e:vllm` installed, written down by it. */
const installed = z.object({
  vllm: z.string(),
  model: z.string(),
  args: z.array(z.string()),
  env: z.record(z.string(), z.string()),
});

/** Failure `missing`: vllm without a model, and none was prepared on this machine. */
export async function engineOf(
  wanted: { readonly engine: EngineChoice; readonly model: string | undefined },
  env: Io['env'],
): Promise<DevEngine> {
  const { engine, model } = wanted;
  if (engine === 'none') throw new Failure('invalid', '--engine: "none" leaves nothing to serve with');
  const modelFlags = model === undefined ? [] : ['--model', model];
  if (engine === 'vllm')
    return model === undefined
      ? prepared(env)
      : { flags: ['--engine', 'vllm', ...modelFlags], env: {}, readyMs: vllmMs };
  const text = typeof engine === 'string' ? engine : engine.url;
  return { flags: ['--engine', text, ...modelFlags], env: {}, readyMs: simulatedMs };
}

async function prepared(env: Io['env']): Promise<DevEngine> {
  const cache = env['XDG_CACHE_HOME'] || join(env['HOME'] || homedir(), '.cache');
  const file = join(cache, 'synkti', 'vllm.json');
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    const ways = 'prepare one with npm run e2e:vllm, or give --model for the vllm on the PATH';
    throw new Failure('missing', `--engine vllm: no model: ${ways}`, error);
  }
  const { vllm, model, args, env: variables } = installed.parse(JSON.parse(text));
  const flags = [
    '--engine',
    'vllm',
    '--engine-command',
    vllm,
    '--model',
    model,
    '--engine-args',
    args.join(' '),
  ];
  return { flags, env: variables, readyMs: vllmMs };
}
