/** Looks at processes through ps(1), for `synkti dev` on macOS: slower than /proc, and blind to shared memory. */
import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';
import type { Process, ProcessTable } from './proc.ts';

/** Room for the environments of all processes of a laptop, bytes. */
const outputBytesMax = 32 * 1_024 * 1_024;

export const ps: ProcessTable = {
  startOf(pid) {
    try {
      const shown = execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], { encoding: 'utf8' });
      return startFromPs(shown);
    } catch (error) {
      // ps exits 1 when there is no such process.
      if ((error as { status?: number }).status === 1) return null;
      throw error;
    }
  },

  async marked(environment) {
    const shown = await promisify(execFile)('ps', ['-axww', '-E', '-o', 'pid=,command='], {
      maxBuffer: outputBytesMax,
    });
    return pidsFromPs(shown.stdout, environment).flatMap((pid): Process[] => {
      const start = ps.startOf(pid);
      return start === null ? [] : [{ pid, start }];
    });
  },

  sharedMemory: () => Promise.resolve([]),
};

export function startFromPs(shown: string): string | null {
  const [, state = 'Z', start = ''] = /^\s*(\S+)\s+(.*?)\s*$/.exec(shown) ?? [];
  return state.startsWith('Z') || start === '' ? null : start;
}

/** ps shows the environment behind the command line, separated by blanks only. */
export function pidsFromPs(shown: string, environment: Readonly<Record<string, string>>): readonly number[] {
  const wanted = Object.entries(environment).map(([name, value]) => ` ${name}=${value} `);
  return shown.split('\n').flatMap((line) => {
    const pid = Number.parseInt(line, 10);
    return Number.isNaN(pid) || !wanted.every((variable) => `${line} `.includes(variable)) ? [] : [pid];
  });
}
