/** The two kinds of engine that the list is played to. */
import { join } from 'node:path';
import { exactFlags, type RealVllm } from '../real/vllm.ts';
import { servedName, type Target } from './engine-process.ts';

const main = join(import.meta.dirname, '../../src/main.ts');

/** As fast as vLLM serves its tiny model on a CPU: 200 tokens a second. */
const pace = ['--token-ms=5', '--rng=sequential'];

export const simulated: Target = {
  name: 'simulated',
  readyMs: 30_000,
  command: ({ address, flags, model = 'simulated' }) => ({
    file: process.execPath,
    args: [
      main,
      'simulated-engine',
      model,
      '--served-model-name',
      servedName,
      ...address,
      ...exactFlags,
      ...pace,
      ...flags,
    ],
    env: process.env,
  }),
};

export const realVllm = (real: RealVllm): Target => ({
  name: 'vllm',
  readyMs: 300_000,
  command: ({ address, flags, model = real.model }) => ({
    file: real.vllm,
    args: ['serve', model, '--served-model-name', servedName, ...address, ...exactFlags, ...flags],
    env: { ...process.env, ...real.env },
  }),
});
