/**
 * Looks at processes through Linux's /proc (proc(5)). A process is named by its pid and its start time together: pids
 * are used again, and a signal to the wrong process must be impossible however late it is sent.
 */
import { readFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';

export type Process = { readonly pid: number; readonly start: string };

/** Ways to look at processes; one for Linux and one for macOS. */
export type ProcessTable = {
  /** Tells this process from a later one with the same pid; null when it is gone or only waits to be reaped. */
  startOf(pid: number): string | null;
  /** Every living process whose environment has all of these. Children inherit them, whoever their parent is now. */
  marked(environment: Readonly<Record<string, string>>): Promise<readonly Process[]>;
  /** Files of shared memory that the process maps: SIGKILL leaves them behind for ever. */
  sharedMemory(pid: number): Promise<readonly string[]>;
};

export const proc: ProcessTable = {
  startOf(pid) {
    let stat: string;
    try {
      stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    } catch (error) {
      if (isGone(error)) return null;
      throw error;
    }
    // "pid (name) state ppid … starttime …": the name may hold blanks and brackets, so count from its end.
    const [state = '', ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' || state === 'X' ? null : (fields[18] ?? null);
  },

  async marked(environment) {
    const wanted = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
    const found: Process[] = [];
    for (const name of await readdir('/proc')) {
      if (!/^\d+$/.test(name)) continue;
      const variables = new Set((await read(`/proc/${name}/environ`)).split('\0'));
      if (!wanted.every((variable) => variables.has(variable))) continue;
      const start = proc.startOf(Number(name));
      if (start !== null) found.push({ pid: Number(name), start });
    }
    return found;
  },

  async sharedMemory(pid) {
    const maps = await read(`/proc/${pid}/maps`);
    return [...new Set(maps.match(/\/dev\/shm\/\S+$/gm) ?? [])];
  },
};

/** Empty for a process that is gone, and for one of somebody else. */
async function read(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isGone(error)) return '';
    throw error;
  }
}

/** ESRCH: it went while we read. EACCES, EPERM: it is somebody else's, so not one of ours. */
const isGone = (error: unknown): boolean =>
  ['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '');
