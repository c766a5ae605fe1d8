/**
 * Runs a trial in Linux namespaces of its own: processes, network and mounts. The kernel then ends every process and
 * takes every bridge and link away with the first process of the enclosure, however the trial ends, and nothing that
 * it does to its network can reach the machine's. Root is not needed where user namespaces are allowed.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { clusterMark } from '../../src/cli/dev/environment.ts';
import { openGuard } from '../../src/cli/dev/guard.ts';

/** Names the trial's directory to the process inside. */
const variable = 'TRIAL_ENCLOSED';

const flags = ['--net', '--pid', '--fork', '--kill-child', '--mount-proc'];
const asRoot = process.getuid?.() === 0 ? [] : ['--map-root-user'];

/** `isEnclosed`: whether there are namespaces to play with; else `why` there are not. */
export type Ground = { readonly dir: string } & (
  { readonly isEnclosed: true } | { readonly isEnclosed: false; readonly why: string }
);

/** What it takes is there; else the reason why not. */
export function enclosable(): true | string {
  const tools = ['unshare', 'nsenter', 'ip', 'ss', 'mount'];
  const missing = tools.find((tool) => spawnSync('sh', ['-c', `command -v ${tool}`]).status !== 0);
  if (missing !== undefined) return `no ${missing} on this machine`;
  const tried = spawnSync('unshare', [...asRoot, ...flags, 'ip', 'link', 'set', 'lo', 'up'], {
    encoding: 'utf8',
    timeout: 5_000,
  });
  if (tried.status === 0) return true;
  return `namespaces are not to be had: ${tried.stderr.trim().split('\n')[0] ?? 'unshare failed'}`;
}

/**
 * Runs `trial` and resolves with its exit code, 1 when it takes longer. Called twice where an enclosure can be had:
 * outside it starts this very program again inside, which then comes here and runs the trial.
 */
export async function runTrial(
  trial: (ground: Ground) => Promise<number>,
  withinMs: number,
): Promise<number> {
  const inside = process.env[variable];
  if (inside !== undefined) {
    delete process.env[variable];
    // Whoever started us holds the other end, and lets go of it however it ends. Everything here ends with us.
    const onAlone = (): never => process.exit(130);
    process.stdin.once('close', onAlone).resume();
    const code = await trial({ dir: inside, isEnclosed: true });
    process.stdin.off('close', onAlone).destroy();
    return code;
  }
  const dir = await mkdtemp(join(tmpdir(), 'synkti-trial-'));
  try {
    const can = enclosable();
    return can === true ? await reRun(dir, withinMs) : await inTheOpen(trial, { dir, why: can }, withinMs);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function reRun(dir: string, withinMs: number): Promise<number> {
  const command = [...asRoot, ...flags, process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const child = spawn('unshare', command, {
    stdio: ['pipe', 'inherit', 'inherit'],
    env: { ...process.env, [variable]: dir },
  });
  // The first process inside ends with unshare, and the kernel ends the others with that one.
  const end = (): void => void child.kill('SIGKILL');
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.once(signal, end);
  const late = setTimeout(end, withinMs);
  const [code] = (await once(child, 'exit')) as [number | null];
  clearTimeout(late);
  for (const signal of signals) process.off(signal, end);
  return code ?? 130;
}

/** Without an enclosure a guard ends what is left when this process ends, however it does. */
async function inTheOpen(
  trial: (ground: Ground) => Promise<number>,
  { dir, why }: { readonly dir: string; readonly why: string },
  withinMs: number,
): Promise<number> {
  const guard = openGuard(clusterMark(dir), [dir]);
  const late = setTimeout(() => process.exit(1), withinMs);
  const code = await trial({ dir, isEnclosed: false, why });
  clearTimeout(late);
  guard.standDown();
  return code;
}
