/** The engines that all gateways ask: simulated ones, which answer as vLLM does, over TCP as vLLM's router wants it. */
import { freePort } from '../../../src/cli/dev/ports.ts';
import type { Program } from '../../lab/program.ts';
import { engineCount } from './plan.ts';
import { start } from './started.ts';

export type Engines = { readonly urls: readonly string[]; close(): Promise<void> };

export async function openEngines(program: Program, tokenMs: number): Promise<Engines> {
  const ports = await freePort(engineCount);
  const started = await Promise.all(
    Array.from({ length: engineCount }, async (_, at) => {
      const url = `http://127.0.0.1:${ports + at}`;
      const place = ['--host=127.0.0.1', `--port=${ports + at}`, '--served-model-name=simulated'];
      const pace = [`--token-ms=${tokenMs}`, '--max-num-seqs=1024', '--enable-scale-out'];
      const engine = await start('engine', program(['simulated-engine', ...place, ...pace]), `${url}/health`);
      return { url, engine };
    }),
  );
  return {
    urls: started.map(({ url }) => url),
    close: async () => void (await Promise.all(started.map(({ engine }) => engine.stop()))),
  };
}
