/**
 * What engines leave on a Linux machine: processes, shared memory files, sockets. A vLLM that is killed with its whole
 * group cannot unlink its shared memory; what nobody maps any more is such a leftover.
 */
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

const sharedMemory = '/dev/shm';

export type Before = { readonly sharedMemory: ReadonlySet<string> };

export async function lookBefore(): Promise<Before> {
  return { sharedMemory: new Set(await readdir(sharedMemory)) };
}

/** In words, one for each thing that was not there before and belongs to nobody or to `mark` (`NAME=value`). */
export async function leftBehind(before: Before, mark: string): Promise<readonly string[]> {
  const pids = await allPids();
  const mapped = await mappedBy(pids);
  const files = (await readdir(sharedMemory)).filter(
    (file) => !before.sharedMemory.has(file) && !mapped.has(join(sharedMemory, file)),
  );
  const processes = await Promise.all(
    pids.map(async (pid) => ((await isMarked(pid, mark)) ? `process ${pid} ${await titleOf(pid)}` : null)),
  );
  return [
    ...processes.filter((process) => process !== null),
    ...files.map((file) => `shared memory ${join(sharedMemory, file)}`),
  ];
}

/** Kills what carries the mark and unlinks the shared memory it had. For the end of a run that failed. */
export async function sweep(mark: string): Promise<void> {
  const marked: number[] = [];
  for (const pid of await allPids()) if (await isMarked(pid, mark)) marked.push(pid);
  await killAndUnlink(marked);
}

/** SIGKILL, and then the work of the resource tracker that could not do it. */
export async function killAndUnlink(pids: readonly number[]): Promise<void> {
  const files = await mappedBy(pids);
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
  await Promise.all([...files].map((file) => rm(file, { force: true })));
}

async function allPids(): Promise<readonly number[]> {
  return (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
}

/** The named shared memory files that any of these processes has mapped. */
export async function mappedBy(pids: readonly number[]): Promise<ReadonlySet<string>> {
  const maps = await Promise.all(pids.map((pid) => read(`/proc/${pid}/maps`)));
  return new Set(maps.flatMap((text) => text.match(/\/dev\/shm\/\S+$/gm) ?? []));
}

async function isMarked(pid: number, mark: string): Promise<boolean> {
  return (await read(`/proc/${pid}/environ`)).split('\0').includes(mark);
}

const titleOf = async (pid: number): Promise<string> =>
  (await read(`/proc/${pid}/cmdline`)).replaceAll('\0', ' ').slice(0, 120);

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
