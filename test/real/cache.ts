/**
 * The user's cache folder, where everything large lives: never in the repository. A thing is named after the hash
 * of the scripts that make it, so that a change of a script makes a new one and an old checkout still finds its own.
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { processes } from '../../src/os/processes.ts';

export const cacheRoot = (): string =>
  join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'synkti');

/** Eight hex digits: enough to tell the versions of a script apart. */
export async function hashOf(...files: readonly URL[]): Promise<string> {
  const hash = createHash('sha256');
  for (const file of files) hash.update(await readFile(file));
  return hash.digest('hex').slice(0, 8);
}

/** Its pid and when it started: a later process may have the same pid, above all in a container. */
const nameOf = (pid: number): string => `${pid} ${processes.startOf(pid)}`;

/** Whether the process is there; one that belongs to somebody else is there too. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/**
 * Makes `dir` unless a finished one is there. `make` fills it; the stamp is written last, so a folder without a
 * stamp is a half-finished one and is made anew. Two processes at once: the second waits for the first.
 */
export async function makeOnce(
  dir: string,
  signal: AbortSignal,
  make: () => Promise<void>,
): Promise<'found' | 'made'> {
  const stamp = join(dir, '.finished');
  if (await exists(stamp)) return 'found';
  const unlock = await lock(`${dir}.lock`, signal);
  try {
    if (await exists(stamp)) return 'found';
    await rm(dir, { recursive: true, force: true });
    await mkdir(dir, { recursive: true });
    await make();
    await writeFile(stamp, '');
    return 'made';
  } finally {
    await unlock();
  }
}

const exists = (file: string): Promise<boolean> =>
  readFile(file).then(
    () => true,
    () => false,
  );

/** A file that names its holder; one whose holder is gone is taken over. */
async function lock(file: string, signal: AbortSignal): Promise<() => Promise<void>> {
  await mkdir(dirname(file), { recursive: true });
  for (;;) {
    signal.throwIfAborted();
    try {
      await writeFile(file, nameOf(process.pid), { flag: 'wx' });
      return () => rm(file, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const holder = await readFile(file, 'utf8').catch(() => '');
    if (holder !== '' && holder === nameOf(parseInt(holder))) await sleep(500, undefined, { signal });
    else await rm(file, { force: true });
  }
}
