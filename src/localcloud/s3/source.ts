/** Reading what is stored: for a client, or to make a copy of it. */
import { AwsError } from '../wire/aws-error.ts';
import type { Call } from '../wire/call.ts';
import { bucketNamed, type Address, type Backing } from './backing.ts';
import { checkRead, noSuchKey } from './conditions.ts';
import type { ByteRange } from './range.ts';
import type { StoredObject } from './stored.ts';

/** The caller holds the object's files for as long as it reads them. */
export async function* storedBytes(
  { store }: Backing,
  { segments }: StoredObject,
  range: ByteRange,
): AsyncGenerator<Uint8Array> {
  let start = 0;
  for (const { blob, bytes } of segments) {
    const first = Math.max(0, range.first - start);
    const last = Math.min(bytes - 1, range.last - start);
    start += bytes;
    if (first <= last) yield* store.blobs.read(blob, { first, last });
  }
}

/** What a copy is made of. Throws AwsError where there is no such thing, or its conditions are not met. */
export function copySource(
  backing: Backing,
  call: Call,
): { readonly source: StoredObject; readonly from: Address } {
  const from = namedSource(call);
  const source = bucketNamed(backing, from.bucket).objects.get(from.key);
  if (source === undefined) throw noSuchKey();
  checkRead(call.headers, source, 'x-amz-copy-source-');
  return { source, from };
}

function namedSource({ headers }: Call): Address {
  const invalid = new AwsError(400, 'InvalidArgument', 'Copy Source must mention the source bucket and key');
  const [path = '', version] = String(headers['x-amz-copy-source']).replace(/^\//, '').split('?versionId=');
  if (version !== undefined) throw new AwsError(501, 'NotImplemented', 'Versions are not kept.');
  let plain: string;
  try {
    plain = decodeURIComponent(path);
  } catch (error) {
    if (error instanceof URIError) throw invalid;
    throw error;
  }
  const cut = plain.indexOf('/');
  if (cut < 1 || cut === plain.length - 1) throw invalid;
  return { bucket: plain.slice(0, cut), key: plain.slice(cut + 1) };
}
