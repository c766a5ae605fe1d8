import { Failure, type FailureKind } from '../std/failure.ts';

/** Each with what to do about it. */
const reasons: Readonly<Record<string, readonly [FailureKind, string]>> = {
  EACCES: ['denied', 'not writable for this user: chown it, or choose another'],
  EPERM: ['denied', 'belongs to another user: chown it, or choose another'],
  ENOENT: ['denied', 'cannot be made there: choose another'],
  EROFS: ['denied', 'is on a read-only file system: choose another'],
  ENOTDIR: ['invalid', 'a file stands in the way: choose another'],
  EEXIST: ['invalid', 'a file stands in the way: choose another'],
  ENOSPC: ['busy', 'no room left on the device: free some, or choose another'],
  EDQUOT: ['busy', "nothing left of this user's quota: free some, or choose another"],
};

/** What keeps a node from its data directory, in words. */
export function directoryFailure(dataDir: string, error: unknown): Failure {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const [kind, why] = reasons[code] ?? ['invalid', code];
  return new Failure(kind, `data directory ${dataDir}: ${why}`, error);
}
