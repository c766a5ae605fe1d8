/** The directory of a node: its key, its sockets and its engine's log are for its owner alone. */
import { chmod, readdir, stat } from 'node:fs/promises';
import { directoryFailure } from '../node/directory-failure.ts';
import { Failure } from '../std/failure.ts';
import { makeDirectory } from './directory.ts';

/** What everybody may write to, as /tmp. */
const writableByAll = 0o1002;

/**
 * Makes it, or takes one that is there. One that others may enter is closed to them where it is empty or a node's
 * already, and refused elsewhere: it may be theirs, and to close /tmp is to stop a machine. Failure `denied`, `invalid`.
 */
export async function takeDataDir(dataDir: string): Promise<void> {
  try {
    await makeDirectory(dataDir);
    const { mode } = await stat(dataDir);
    if ((mode & 0o077) === 0) return;
    const names = await readdir(dataDir);
    if ((mode & writableByAll) !== 0 || !(names.length === 0 || names.includes('identity.key')))
      throw new Failure(
        'denied',
        `data directory ${dataDir}: others use it: chmod 700 it, or choose another`,
      );
    await chmod(dataDir, 0o700);
  } catch (error) {
    throw error instanceof Failure ? error : directoryFailure(dataDir, error);
  }
}
