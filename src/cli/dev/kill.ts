/** Ends every process that carries a mark, whoever its parent is by now, with what a SIGKILL leaves of it. */
import { readFile, rm } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import type { Mark } from '../../os/proc.ts';
import { processes } from '../../os/processes.ts';
import { Failure } from '../../std/failure.ts';

/** From SIGKILL until the kernel has taken a process away: milliseconds, unless it waits for a disk. */
const reapMs = 10_000;

/** Until none is left: what one of them was just starting carries the mark too. */
export async function killMarked(mark: Mark): Promise<void> {
  const deadline = performance.now() + reapMs;
  const memory = new Set<string>();
  for (;;) {
    const left = await processes.marked(mark);
    if (left.length === 0) break;
    for (const { pid } of left) for (const file of await sharedMemory(pid)) memory.add(file);
    for (const target of left) processes.signal(target, 'SIGKILL');
    if (performance.now() > deadline) throw new Failure('late', `kill: ${left.length} processes do not end`);
    await pause(10);
  }
  await Promise.all([...memory].map((file) => rm(file, { force: true })));
}

/** Files of shared memory that the process maps: they outlive it for ever. None where there is no /proc. */
async function sharedMemory(pid: number): Promise<readonly string[]> {
  try {
    const maps = await readFile(`/proc/${pid}/maps`, 'utf8');
    return [...new Set(maps.match(/\/dev\/shm\/\S+$/gm) ?? [])];
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES') return [];
    throw error;
  }
}
