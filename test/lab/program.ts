/** Which `synkti` a trial runs: the built executable while it is newer than every source file, else the sources. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Respawn } from '../../src/cli/executable.ts';

const root = join(import.meta.dirname, '../..');

export type Program = (args: readonly string[]) => Respawn;

/** `built`: it is the executable. */
export function newestProgram(): {
  readonly name: string;
  readonly built: boolean;
  readonly start: Program;
} {
  const built = join(root, 'dist/synkti');
  if (changedAt(built) > newestSource())
    return { name: built, built: true, start: (args) => ({ command: built, args }) };
  const main = join(root, 'src/main.ts');
  return {
    name: `${main} (dist/synkti is missing or older: npm run build)`,
    built: false,
    start: (args) => ({ command: process.execPath, args: [main, ...args] }),
  };
}

const newestSource = (): number =>
  Math.max(
    ...readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => changedAt(join(root, 'src', name))),
  );

const changedAt = (path: string): number => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
