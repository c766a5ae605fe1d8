/**
 * Looks at processes through ps(1), for `synkti dev` on macOS: slower than /proc, and it knows processes by their
 * environment only.
 */
import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';
import type { Found, ProcessTable } from './proc.ts';

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

  async marked({ environment }) {
    const shown = await promisify(execFile)('ps', ['-axww', '-E', '-o', 'pid=,command='], {
      maxBuffer: outputBytesMax,
    });
    return markedFromPs(shown.stdout, environment).flatMap((process): Found[] => {
      const start = ps.startOf(process.pid);
      return start === null ? [] : [{ ...process, start }];
    });
  },
};

export function startFromPs(shown: string): string | null {
  const [, state = 'Z', start = ''] = /^\s*(\S+)\s+(.*?)\s*$/.exec(shown) ?? [];
  return state.startsWith('Z') || start === '' ? null : start;
}

/** ps shows the environment behind the command line, separated by blanks only. */
export function markedFromPs(
  shown: string,
  environment: Readonly<Record<string, string>>,
): readonly { readonly pid: number; readonly command: string }[] {
  const wanted = Object.entries(environment).map(([name, value]) => ` ${name}=${value} `);
  return shown.split('\n').flatMap((line) => {
    const [, pid = '', command = ''] = /^\s*(\d+)\s+(.*)$/.exec(line) ?? [];
    const isMarked = pid !== '' && wanted.every((variable) => `${line} `.includes(variable));
    return isMarked ? [{ pid: Number(pid), command }] : [];
  });
}
