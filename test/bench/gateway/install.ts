/** Puts vLLM's own router, a program in Rust that PyPI has ready-made, into the user's cache folder: 130 MB. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cacheRoot, makeOnce } from '../../real/cache.ts';

const version = '0.1.17';
/** A slow line (1 MB/s) still fetches it in this time. */
const installMs = 5 * 60_000;
const run = promisify(execFile);

/** The path of its program. Rejects with pip's complaint. */
export async function installRouter(say: (line: string) => void): Promise<string> {
  const dir = join(cacheRoot(), `vllm-router-${version}`);
  const signal = AbortSignal.timeout(installMs);
  await makeOnce(dir, signal, async () => {
    say(`installing vllm-router ${version} into ${dir}`);
    await run('python3', ['-m', 'venv', dir], { signal });
    const wanted = ['install', '--quiet', '--no-input', `vllm-router==${version}`];
    await run(join(dir, 'bin', 'python'), ['-m', 'pip', ...wanted], { signal });
  });
  return join(dir, 'bin', 'vllm-router');
}
