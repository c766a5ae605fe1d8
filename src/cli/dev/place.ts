/**
 * The directory of a development cluster: one cluster at a time, nothing of anybody else's touched, nothing left
 * behind. What a crashed one left, processes included, is cleared away by the next one.
 */
import { readdir, realpath, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { controlSocket } from '../../control/socket-file.ts';
import { directoryFailure } from '../../node/directory-failure.ts';
import { makeDirectory } from '../../os/directory.ts';
import { processes } from '../../os/processes.ts';
import { Failure } from '../../std/failure.ts';
import { clusterMark } from './environment.ts';
import { openGuard } from './guard.ts';
import { logOf } from './machine.ts';
import { killMarked } from './kill.ts';
import { readDevState, stateFile, writeDevState, type DevNode } from './state.ts';

type Place = {
  /** The real path: what the kernel tells of open files. */
  readonly dir: string;
  /** The local cloud's own folder. */
  readonly cloudDir: string;
  /** Tells the other commands who is there. */
  publish(cloud: string, nodes: readonly DevNode[]): void;
  /** Removes every file, and the directory where it is empty then. All processes must be gone. */
  release(): Promise<void>;
};

/**
 * Failure `busy`: a cluster runs from here, or the disk is full; `denied`, `invalid`: this directory cannot be used.
 * `onUnwritten`: the other commands could not be told who is there.
 */
export async function takePlace(
  wanted: string,
  nodesMax: number,
  onUnwritten: (failure: Failure) => void,
): Promise<Place> {
  try {
    return await takeDirectory(await realDirectory(wanted), nodesMax, onUnwritten);
  } catch (error) {
    throw inWords(wanted, error);
  }
}

async function takeDirectory(
  dir: string,
  nodesMax: number,
  onUnwritten: (failure: Failure) => void,
): Promise<Place> {
  const running = await readDevState(dir);
  if (running !== null)
    throw new Failure(
      'busy',
      `a development cluster runs in ${dir} already (process ${running.pid}): stop it, or choose another --dir`,
    );
  controlSocket(join(dir, `node-${nodesMax}`));
  const own = await ownFiles(dir);
  await killMarked(clusterMark(dir));
  await Promise.all(own.map((file) => rm(file, { recursive: true, force: true })));

  const { pid } = process;
  const start = processes.startOf(pid) ?? '';
  await writeDevState(dir, { pid, start, cloud: '', nodes: [] });
  const cloudDir = join(dir, 'cloud');
  const places = Array.from({ length: nodesMax }, (_, at) => [
    join(dir, `node-${at + 1}`),
    logOf(dir, at + 1),
  ]);
  const guard = openGuard(clusterMark(dir), [stateFile(dir), cloudDir, ...places.flat()]);
  let written = Promise.resolve();
  return {
    dir,
    cloudDir,
    publish: (cloud, nodes) => {
      const state = { pid, start, cloud, nodes: [...nodes] };
      // Somebody removed the directory: then no command finds the cluster, and Ctrl-C still ends it.
      written = written
        .then(() => writeDevState(dir, state))
        .catch(unlessGone)
        .catch((error: unknown) => {
          const failure = inWords(dir, error);
          if (!(failure instanceof Failure)) throw failure;
          onUnwritten(failure);
        });
    },
    release: async () => {
      await written;
      const own = await ownFiles(dir).catch(unlessGone);
      await Promise.all((own ?? []).map((file) => rm(file, { recursive: true, force: true })));
      await removeIfEmpty(dir);
      guard.standDown();
    },
  };
}

async function realDirectory(dir: string): Promise<string> {
  await makeDirectory(dir);
  return realpath(dir);
}

/** What the system says of the directory, as a Failure; anything else stays what it is. */
function inWords(dir: string, error: unknown): unknown {
  if (error instanceof Failure || (error as NodeJS.ErrnoException).code === undefined) return error;
  const { kind, message } = directoryFailure(dir, error);
  return new Failure(kind, `--dir: ${message}`, error);
}

const isOwn = (name: string): boolean => /^(dev\.json(\.new)?|cloud|node-\d+(\.log)?)$/.test(name);

/** Failure `denied` where something lies beside them: a directory with other things in it is not ours to clear. */
async function ownFiles(dir: string): Promise<readonly string[]> {
  const names = await readdir(dir);
  const strange = names.find((name) => !isOwn(name));
  if (strange !== undefined)
    throw new Failure('denied', `--dir ${dir}: holds other things (${strange}): choose an empty directory`);
  return names.map((name) => join(dir, name));
}

function unlessGone(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
}

/** Somebody may have put a file there meanwhile, which then stays. */
async function removeIfEmpty(dir: string): Promise<void> {
  try {
    await rmdir(dir);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (!['ENOTEMPTY', 'EEXIST', 'EBUSY', 'ENOENT'].includes(code ?? '')) throw error;
  }
}
