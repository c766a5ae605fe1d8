/**
 * Multipart uploads. Begun, filled and given up here, completed in completion.ts.
 * (S3 User Guide, "Uploading and copying objects using multipart upload" and its limits.)
 */
import { randomUUID } from 'node:crypto';
import { AwsError } from '../wire/aws-error.ts';
import type { Answer, Call } from '../wire/call.ts';
import { bucketNamed, document, empty, iso, wholeNumber, type Address, type Backing } from './backing.ts';
import {
  checksumAlgorithm,
  checksumHeader,
  declaredChecksum,
  type ChecksumAlgorithm,
  type ChecksumType,
} from './checksum.ts';
import { headFrom } from './head.ts';
import { duplicate, ingest, type Ingested } from './ingest.ts';
import { requestedRange } from './range.ts';
import { copySource, storedBytes } from './source.ts';
import { noSuchUpload } from './store.ts';
import type { Part, Upload } from './stored.ts';

const partsMax = 10_000;
const uploadsMax = 10_000;

export async function createMultipartUpload(backing: Backing, call: Call, at: Address): Promise<Answer> {
  const bucket = bucketNamed(backing, at.bucket);
  if (bucket.uploads.size >= uploadsMax) throw new AwsError(503, 'SlowDown', 'Too many unfinished uploads.');
  const { algorithm, type } = askedChecksum(call);
  const upload: Upload = {
    id: randomUUID().replaceAll('-', ''),
    key: at.key,
    startedAt: backing.clock.wallNow(),
    head: headFrom(call.headers),
    algorithm,
    type,
    parts: new Map(),
  };
  await backing.store.startUpload(bucket, upload);
  return document(
    'InitiateMultipartUploadResult',
    { Bucket: at.bucket, Key: at.key, UploadId: upload.id },
    algorithm === null ? {} : { 'x-amz-checksum-algorithm': algorithm, 'x-amz-checksum-type': type },
  );
}

export async function uploadPart(backing: Backing, call: Call, at: Address): Promise<Answer> {
  const upload = uploadOf(backing, call, at);
  const number = partNumber(call);
  const declared = declaredChecksum(call.headers);
  const mustMatch = upload.algorithm !== null && (upload.type === 'COMPOSITE' || declared !== null);
  if (mustMatch && declared?.algorithm !== upload.algorithm)
    throw new AwsError(
      400,
      'InvalidRequest',
      `Checksum Type mismatch occurred, expected checksum Type: ${lower(upload.algorithm)}, actual checksum Type: ${lower(declared?.algorithm ?? null)}`,
    );
  const body = backing.shaping.up(call, call.body);
  const expected = { declared, wanted: [upload.algorithm ?? 'CRC64NVME'] as const };
  const taken = await ingest(call, body, backing.store.blobs, expected);
  await savePart(backing, at, upload, { number, taken });
  const shown = declared?.algorithm ?? upload.algorithm;
  return empty(200, {
    etag: `"${taken.md5}"`,
    'x-amz-server-side-encryption': 'AES256',
    ...(shown === null ? {} : { [checksumHeader(shown)]: taken.checksums[shown]! }),
  });
}

/** A part made of an object's bytes, or of a range of them. */
export async function uploadPartCopy(backing: Backing, call: Call, at: Address): Promise<Answer> {
  const upload = uploadOf(backing, call, at);
  const number = partNumber(call);
  const { source } = copySource(backing, call);
  const asked = call.headers['x-amz-copy-source-range'];
  const range = requestedRange(asked === undefined ? undefined : String(asked), source.bytes);
  const { first, last } = range ?? { first: 0, last: source.bytes - 1 };
  const { store } = backing;
  const release = store.blobs.hold(source.segments.map(({ blob }) => blob));
  try {
    const of = { bytes: last - first + 1, wanted: [upload.algorithm ?? 'CRC64NVME'] as const };
    const taken = await duplicate(storedBytes(backing, source, { first, last }), store.blobs, of);
    const part = await savePart(backing, at, upload, { number, taken });
    return document('CopyPartResult', { ETag: `"${part.etag}"`, LastModified: iso(part.modifiedAt) });
  } finally {
    release();
  }
}

async function savePart(
  backing: Backing,
  at: Address,
  upload: Upload,
  { number, taken }: { readonly number: number; readonly taken: Ingested },
): Promise<Part> {
  const { blob, bytes, md5: etag, checksums } = taken;
  const part = { number, etag, bytes, modifiedAt: backing.clock.wallNow(), blob, checksums };
  try {
    await backing.store.savePart(bucketNamed(backing, at.bucket), upload, part);
    return part;
  } catch (error) {
    await backing.store.blobs.drop([blob]);
    throw error;
  }
}

function partNumber(call: Call): number {
  const number = wholeNumber(call, 'partNumber', 0);
  if (number !== null && number >= 1 && number <= partsMax) return number;
  throw new AwsError(
    400,
    'InvalidArgument',
    `Part number must be an integer between 1 and ${partsMax}, inclusive`,
  );
}

export async function abortMultipartUpload(backing: Backing, call: Call, at: Address): Promise<Answer> {
  const upload = uploadOf(backing, call, at);
  await backing.store.abortUpload(bucketNamed(backing, at.bucket), upload);
  return empty(204);
}

/** Throws AwsError 404, also for an upload of another key. */
export function uploadOf(backing: Backing, call: Call, at: Address): Upload {
  const upload = bucketNamed(backing, at.bucket).uploads.get(call.query.get('uploadId') ?? '');
  if (upload === undefined || upload.key !== at.key) throw noSuchUpload();
  return upload;
}

function askedChecksum({ headers }: Call): {
  readonly algorithm: ChecksumAlgorithm | null;
  readonly type: ChecksumType;
} {
  const named = headers['x-amz-checksum-algorithm'];
  const asked = headers['x-amz-checksum-type'];
  if (named === undefined) return { algorithm: null, type: 'FULL_OBJECT' };
  const algorithm = checksumAlgorithm(String(named));
  if (algorithm === null)
    throw new AwsError(
      400,
      'InvalidRequest',
      'Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]',
    );
  const type = asked ?? (algorithm === 'CRC64NVME' ? 'FULL_OBJECT' : 'COMPOSITE');
  // A hash of the whole cannot be had from the hashes of parts; S3 offers CRC64NVME for the whole only.
  if (type === 'FULL_OBJECT' && !algorithm.startsWith('SHA')) return { algorithm, type };
  if (type === 'COMPOSITE' && algorithm !== 'CRC64NVME') return { algorithm, type };
  throw new AwsError(
    400,
    'InvalidRequest',
    `The ${String(type)} checksum type cannot be used with the ${lower(algorithm)} checksum algorithm.`,
  );
}

export const lower = (algorithm: ChecksumAlgorithm | null): string => algorithm?.toLowerCase() ?? 'null';
