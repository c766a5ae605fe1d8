import { Failure, type FailureKind } from '../std/failure.ts';

const reasons: Readonly<Record<string, readonly [FailureKind, string]>> = {
  EACCES: ['denied', 'not writable for this user'],
  EPERM: ['denied', 'belongs to another user'],
  ENOENT: ['denied', 'cannot be made there'],
  EROFS: ['denied', 'is on a read-only file system'],
  ENOTDIR: ['invalid', 'a file stands in the way'],
  EEXIST: ['invalid', 'a file stands in the way'],
  ENOSPC: ['busy', 'no room left on the device'],
};

/** What keeps a node from its data directory, in words. */
export function directoryFailure(dataDir: string, error: unknown): Failure {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const [kind, why] = reasons[code] ?? ['invalid', code];
  return new Failure(kind, `data directory ${dataDir}: ${why}`, error);
}
