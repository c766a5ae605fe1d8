/**
 * Conditional requests (RFC 9110, 13; S3 User Guide, "Add preconditions to S3 operations").
 *
 * A conditional write is judged twice: when it begins, so that a hopeless one is refused before its body is sent, and
 * when it commits. If the key has changed hands in between, it is neither won nor lost but has met a competitor: 409,
 * read again and retry. That holds no lock while gigabytes arrive, and exactly one of many writers wins.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { AwsError } from '../wire/aws-error.ts';
import type { StoredObject } from './stored.ts';

type WriteCondition =
  { readonly type: 'none' } | { readonly type: 'absent' } | { readonly type: 'etag'; readonly etag: string };

/** If-None-Match knows only `*` on writes, and does not go together with If-Match. */
export function writeCondition(headers: IncomingHttpHeaders): WriteCondition {
  const absent = headers['if-none-match'];
  const etag = headers['if-match'];
  if (absent === undefined) return etag === undefined ? { type: 'none' } : { type: 'etag', etag };
  if (absent !== '*' || etag !== undefined)
    throw new AwsError(
      501,
      'NotImplemented',
      'A header you provided implies functionality that is not implemented.',
      {
        details: { Header: 'If-None-Match' },
      },
    );
  return { type: 'absent' };
}

/** At the beginning of a write. Throws AwsError 412, or 404 where If-Match finds nothing. */
export function checkWrite(condition: WriteCondition, current: StoredObject | undefined): void {
  if (condition.type === 'absent' && current !== undefined) throw unmet('If-None-Match');
  if (condition.type === 'etag') {
    if (current === undefined) throw noSuchKey();
    if (!names(condition.etag, current)) throw unmet('If-Match');
  }
}

/** At the commit of a write that began when the key held `seen`. */
export function checkCommit(
  condition: WriteCondition,
  seen: StoredObject | undefined,
  current: StoredObject | undefined,
): void {
  if (condition.type === 'none' || seen === current) return;
  throw new AwsError(
    409,
    'ConditionalRequestConflict',
    'The conditional request cannot succeed due to a conflicting operation against this resource.',
  );
}

/**
 * Throws AwsError 304 or 412. `prefix` is empty for a read and `x-amz-copy-source-` for the source of a copy, which
 * has no 304.
 */
export function checkRead(
  headers: IncomingHttpHeaders,
  object: StoredObject,
  prefix: '' | 'x-amz-copy-source-',
): void {
  const header = (name: string): string | undefined => headers[prefix + name] as string | undefined;
  // HTTP dates have whole seconds.
  const modified = Math.floor(object.modifiedAt / 1000) * 1000;
  const match = header('if-match');
  const unmodifiedSince = Date.parse(header('if-unmodified-since') ?? '');
  if (match !== undefined) {
    if (!names(match, object)) throw unmet('If-Match');
  } else if (modified > unmodifiedSince) throw unmet('If-Unmodified-Since');

  const noneMatch = header('if-none-match');
  const modifiedSince = Date.parse(header('if-modified-since') ?? '');
  const unchanged = noneMatch === undefined ? modified <= modifiedSince : names(noneMatch, object);
  if (!unchanged) return;
  if (prefix !== '') throw unmet('If-None-Match');
  throw new AwsError(304, 'NotModified', 'Not Modified', {
    headers: { etag: `"${object.etag}"`, 'last-modified': new Date(object.modifiedAt).toUTCString() },
  });
}

export const noSuchKey = (): AwsError => new AwsError(404, 'NoSuchKey', 'The specified key does not exist.');

export const unmet = (Condition: string): AwsError =>
  new AwsError(412, 'PreconditionFailed', 'At least one of the pre-conditions you specified did not hold', {
    details: { Condition },
  });

/** Whether a condition's list of tags, quoted or not, has the object's. */
export const names = (tags: string, { etag }: StoredObject): boolean =>
  tags.split(',').some((tag) => ['*', etag, `"${etag}"`].includes(tag.trim()));
