/** The one Range header a GetObject may carry (RFC 9110, 14.2); S3 serves a single range or the whole object. */
import { AwsError } from '../wire/aws-error.ts';

/** Both ends included. */
export type ByteRange = { readonly first: number; readonly last: number };

/** Null: no range, or one S3 ignores (another unit, several ranges, nonsense). Throws AwsError 416. */
export function requestedRange(header: string | undefined, bytes: number): ByteRange | null {
  const found = /^bytes=(\d*)-(\d*)$/.exec(header ?? '');
  if (found === null) return null;
  const [, from, to] = found as unknown as [string, string, string];
  if (from === '' && to === '') return null;
  if (from !== '' && to !== '' && Number(to) < Number(from)) return null;

  const first = from === '' ? Math.max(0, bytes - Number(to)) : Number(from);
  const last = from === '' || to === '' ? bytes - 1 : Math.min(Number(to), bytes - 1);
  if (first < bytes && !(from === '' && Number(to) === 0)) return { first, last };
  throw new AwsError(416, 'InvalidRange', 'The requested range is not satisfiable', {
    details: { RangeRequested: header ?? '', ActualObjectSize: String(bytes) },
    headers: { 'content-range': `bytes */${bytes}` },
  });
}
