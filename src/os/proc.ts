/**
 * Looks at processes through Linux's /proc (proc(5)). A process is named by its pid and its start time together: pids
 * are used again, and a signal to the wrong process must be impossible however late it is sent.
 */
import { readFileSync } from 'node:fs';
import { readdir, readFile, readlink } from 'node:fs/promises';

export type Process = { readonly pid: number; readonly start: string };
export type Found = Process & { readonly command: string };

/** How the descendants of a process are known, whoever their parent is now: by what they inherited. */
export type Mark = {
  readonly environment: Readonly<Record<string, string>>;
  /**
   * The file that they print to, by its real path. It speaks for those whose environment is empty: vLLM's engine core
   * and workers write their title over it.
   */
  readonly output: string;
};

/** Ways to look at processes; one for Linux and one for macOS. */
export type ProcessTable = {
  /** Tells this process from a later one with the same pid; null when it is gone or only waits to be reaped. */
  startOf(pid: number): string | null;
  /** Every living process with this mark. */
  marked(mark: Mark): Promise<readonly Found[]>;
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

  async marked(mark) {
    const found: Found[] = [];
    for (const name of await readdir('/proc')) {
      if (!/^\d+$/.test(name) || !(await isMarked(`/proc/${name}`, mark))) continue;
      const command = (await read(`/proc/${name}/cmdline`)).replaceAll('\0', ' ').trim();
      const start = proc.startOf(Number(name));
      if (start !== null) found.push({ pid: Number(name), start, command });
    }
    return found;
  },
};

async function isMarked(process: string, { environment, output }: Mark): Promise<boolean> {
  const environ = await read(`${process}/environ`);
  const variables = new Set(environ.split('\0'));
  if (Object.entries(environment).every(([name, value]) => variables.has(`${name}=${value}`))) return true;
  if (/^[\w-]+=/.test(environ)) return false;
  const files = await Promise.all([1, 2].map((fd) => linked(`${process}/fd/${fd}`)));
  // A file that has been renamed since, to make room for a new one, keeps its name and gains an ending.
  return files.some((file) => file.startsWith(output));
}

/** Empty for a process that is gone, and for one of somebody else. */
async function read(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isGone(error)) return '';
    throw error;
  }
}

async function linked(path: string): Promise<string> {
  try {
    return await readlink(path);
  } catch (error) {
    if (isGone(error)) return '';
    throw error;
  }
}

/** ESRCH: it went while we read. EACCES, EPERM: it is somebody else's, so not one of ours. */
const isGone = (error: unknown): boolean =>
  ['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '');
