/**
 * What engines leave on a Linux machine: processes and shared memory. A vLLM that is killed with its whole group cannot
 * unlink its shared memory; what nobody maps any more is such a leftover.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

const sharedMemory = '/dev/shm';

/** A process, told from a later one with the same pid by when it started. */
export type Process = { readonly pid: number; readonly start: string; readonly title: string };

export const sharedMemoryFiles = async (): Promise<ReadonlySet<string>> =>
  new Set((await readdir(sharedMemory)).map((file) => join(sharedMemory, file)));

/** All that descend from a process. By descent, because some programs write over their environment. */
export async function familyOf(ancestor: number): Promise<readonly Process[]> {
  const all = await Promise.all((await allPids()).map(look));
  const family = new Map<number, Process>();
  for (let size = -1; size !== family.size;) {
    size = family.size;
    for (const one of all) if (one.parent === ancestor || family.has(one.parent)) family.set(one.pid, one);
  }
  return [...family.values()];
}

/** In words, one for each of the processes that still lives and each new shared memory file that nobody maps. */
export async function leftBehind(
  family: readonly Process[],
  filesBefore: ReadonlySet<string>,
): Promise<readonly string[]> {
  const now = new Map((await Promise.all((await allPids()).map(look))).map((one) => [one.pid, one]));
  const mapped = await mappedBy([...now.keys()]);
  const files = [...(await sharedMemoryFiles())].filter(
    (file) => !filesBefore.has(file) && !mapped.has(file),
  );
  const living = family.filter(({ pid, start }) => now.get(pid)?.start === start && !now.get(pid)?.isZombie);
  return [...living.map(({ pid, title }) => `process ${pid} ${title}`), ...files];
}

/** One that has ended meanwhile has no parent and no start. */
async function look(pid: number): Promise<Process & { readonly parent: number; readonly isZombie: boolean }> {
  const stat = await read(`/proc/${pid}/stat`);
  // "pid (name) state ppid … starttime …": the name may hold blanks and brackets, so count from its end.
  const [state = 'Z', parent = '0', ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const title = (await read(`/proc/${pid}/cmdline`)).replaceAll('\0', ' ').slice(0, 120);
  return { pid, start: rest[17] ?? '', title, parent: Number(parent), isZombie: state === 'Z' };
}

async function allPids(): Promise<readonly number[]> {
  return (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
}

/** The named shared memory files that any of these processes has mapped. */
export async function mappedBy(pids: readonly number[]): Promise<ReadonlySet<string>> {
  const maps = await Promise.all(pids.map((pid) => read(`/proc/${pid}/maps`)));
  return new Set(maps.flatMap((text) => text.match(/\/dev\/shm\/\S+$/gm) ?? []));
}

/** A process that went away, or belongs to another user, has nothing to tell. */
async function read(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? ''))
      return '';
    throw error;
  }
}
