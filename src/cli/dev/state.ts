/**
 * Where a development cluster is and what runs in it, on disk for the other commands: `dev.json` in its directory,
 * which is the user's state directory unless `--dir` says otherwise. There as long as the cluster runs.
 */
import { readFile, rename, unlink, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { processes } from '../../os/processes.ts';
import { Failure } from '../../std/failure.ts';
import { parseJson } from '../../std/json.ts';
import type { Io } from '../io.ts';

const devNode = z.object({
  /** Counted from 1; a replacement takes the number of the node that was lost. */
  node: z.int(),
  id: z.string(),
  zone: z.string(),
  /** URL for clients. */
  api: z.string(),
  dataDir: z.string(),
  control: z.string(),
  pid: z.int(),
  /** When that process was started: Unix time in ms. */
  bootedAt: z.int(),
});
export type DevNode = z.infer<typeof devNode>;

const devState = z.object({
  pid: z.int(),
  /** Tells this process from a later one with the same pid. */
  start: z.string(),
  /** The local cloud's control socket. */
  cloud: z.string(),
  nodes: z.array(devNode),
});
type DevState = z.infer<typeof devState>;

export function devDir(env: Io['env'], dir: string | undefined): string {
  if (dir !== undefined) return dir;
  const state = env['XDG_STATE_HOME'] || join(env['HOME'] || homedir(), '.local', 'state');
  return join(state, 'synkti', 'dev');
}

export const stateFile = (dir: string): string => join(dir, 'dev.json');

/** null: no cluster runs from this directory. */
export async function readDevState(dir: string): Promise<DevState | null> {
  let text: string;
  try {
    text = await readFile(stateFile(dir), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new Failure('denied', `${stateFile(dir)}: not readable`, error);
  }
  const state = devState.safeParse(parseJson(text));
  if (!state.success)
    throw new Failure('invalid', `${stateFile(dir)}: not what synkti dev writes: remove it`);
  return processes.startOf(state.data.pid) === state.data.start ? state.data : null;
}

/** Failure `unreachable`: no cluster runs from this directory. */
export async function needDevState(dir: string): Promise<DevState> {
  const state = await readDevState(dir);
  if (state !== null) return state;
  throw new Failure('unreachable', `no development cluster runs in ${dir}: start one with synkti dev`);
}

/** Whole or not at all: a command may read at any time. */
export async function writeDevState(dir: string, state: DevState): Promise<void> {
  const draft = `${stateFile(dir)}.new`;
  try {
    await writeFile(draft, JSON.stringify(state), { mode: 0o600 });
    await rename(draft, stateFile(dir));
  } catch (error) {
    // On a full disk what was begun would lie there, and take room.
    await unlink(draft).catch(() => null);
    throw error;
  }
}
