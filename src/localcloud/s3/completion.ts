/**
 * Makes an object of an upload's parts. It copies nothing: the object consists of the parts' files as they lie, and
 * its tag and checksum follow from theirs.
 */
import { createHash } from 'node:crypto';
import { AwsError } from '../wire/aws-error.ts';
import { readWhole } from '../wire/body.ts';
import type { Answer, Call } from '../wire/call.ts';
import { parseXml } from '../wire/xml.ts';
import { bucketNamed, document, type Address, type Backing } from './backing.ts';
import {
  checksumAlgorithms,
  checksumElement,
  checksumHeader,
  compositeChecksum,
  fullObjectChecksum,
  type Checksum,
  type ChecksumAlgorithm,
} from './checksum.ts';
import { checkCommit, checkWrite, writeCondition } from './conditions.ts';
import { lower } from './multipart.ts';
import { malformedXml } from './objects.ts';
import { noSuchUpload } from './store.ts';
import type { Bucket, Part, StoredObject, Upload } from './stored.ts';

/** Of every part but the last. */
const partBytesMin = 5 * 1024 * 1024;
/** 10,000 parts, each with number, tag and checksum. */
const completionBytesMax = 4 * 1024 * 1024;

export async function completeMultipartUpload(backing: Backing, call: Call, at: Address): Promise<Answer> {
  const bucket = bucketNamed(backing, at.bucket);
  const id = call.query.get('uploadId') ?? '';
  const done = (): Answer | null => {
    const object = bucket.objects.get(at.key);
    return object?.uploadId === id ? completed(object, at) : null;
  };
  const upload = bucket.uploads.get(id);
  // A client that lost the first answer asks again, and is told the same.
  if (upload === undefined || upload.key !== at.key) return orThrow(done());

  const condition = writeCondition(call.headers);
  const seen = bucket.objects.get(at.key);
  checkWrite(condition, seen);
  const listed = listedParts((await readWhole(call.body, completionBytesMax)).toString('utf8'));
  const object = await completedOrEnded(backing, bucket, upload, {
    assemble: () => assembled(upload, listed, call, backing),
    judge: (current) => checkCommit(condition, seen, current),
  });
  return object === null ? orThrow(done()) : completed(object, at);
}

/** "On a 409 failure you should re-initiate the multipart upload": there is nothing left to complete again. */
async function completedOrEnded(
  { store }: Backing,
  bucket: Bucket,
  upload: Upload,
  work: { assemble(): StoredObject; judge(current: StoredObject | undefined): void },
): Promise<StoredObject | null> {
  try {
    return await store.completeUpload(bucket, upload, work.assemble, work.judge);
  } catch (error) {
    if (error instanceof AwsError && error.status === 409) await store.abortUpload(bucket, upload);
    throw error;
  }
}

type ListedPart = {
  readonly number: number;
  readonly etag: string;
  readonly checksums: Partial<Record<ChecksumAlgorithm, string>>;
};

function listedParts(text: string): readonly ListedPart[] {
  const parsed = parseXml(text, { root: 'CompleteMultipartUpload', lists: ['Part'] });
  const parts = (parsed?.['Part'] ?? []) as readonly Readonly<Record<string, string>>[];
  if (parts.length === 0) throw malformedXml();
  return parts.map((part) => {
    const number = Number(part['PartNumber']);
    if (!Number.isInteger(number) || part['ETag'] === undefined) throw malformedXml();
    const given = checksumAlgorithms.filter((algorithm) => part[checksumElement(algorithm)] !== undefined);
    const checksums = Object.fromEntries(given.map((name) => [name, part[checksumElement(name)]]));
    return { number, etag: part['ETag'].trim().replaceAll('"', ''), checksums };
  });
}

function assembled(
  upload: Upload,
  listed: readonly ListedPart[],
  { headers }: Call,
  { clock }: Backing,
): StoredObject {
  const parts = listed.map((wanted, at) => {
    if (at > 0 && wanted.number <= listed[at - 1]!.number)
      throw new AwsError(
        400,
        'InvalidPartOrder',
        'The list of parts was not in ascending order. Parts must be ordered by part number.',
      );
    return matchingPart(upload, wanted);
  });
  const small = parts.find(({ bytes }, at) => bytes < partBytesMin && at < parts.length - 1);
  if (small !== undefined)
    throw new AwsError(
      400,
      'EntityTooSmall',
      'Your proposed upload is smaller than the minimum allowed size',
      {
        details: {
          ProposedSize: String(small.bytes),
          MinSizeAllowed: String(partBytesMin),
          PartNumber: String(small.number),
          ETag: small.etag,
        },
      },
    );
  const bytes = parts.reduce((sum, part) => sum + part.bytes, 0);
  const checksum = checksumOf(upload, parts);
  checkWhole(headers, { bytes, checksum });
  const md5 = createHash('md5');
  for (const { etag } of parts) md5.update(etag, 'hex');
  return {
    key: upload.key,
    etag: `${md5.digest('hex')}-${parts.length}`,
    bytes,
    modifiedAt: clock.wallNow(),
    head: upload.head,
    checksum,
    segments: parts.map((part) => ({ blob: part.blob, bytes: part.bytes })),
    uploadId: upload.id,
  };
}

function matchingPart(upload: Upload, wanted: ListedPart): Part {
  const part = upload.parts.get(wanted.number);
  const mistaken = checksumAlgorithms.some(
    (name) => wanted.checksums[name] !== undefined && wanted.checksums[name] !== part?.checksums[name],
  );
  if (part === undefined || part.etag !== wanted.etag || mistaken)
    throw new AwsError(
      400,
      'InvalidPart',
      'One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part’s entity tag.',
      { details: { UploadId: upload.id, PartNumber: String(wanted.number), ETag: wanted.etag } },
    );
  const { algorithm, type } = upload;
  if (algorithm !== null && type === 'COMPOSITE' && wanted.checksums[algorithm] === undefined)
    throw new AwsError(
      400,
      'InvalidRequest',
      `The upload was created using a ${lower(algorithm)} checksum. The complete request must include the checksum for each part. It was missing for part ${wanted.number} in the request.`,
    );
  return part;
}

function checksumOf({ algorithm, type }: Upload, parts: readonly Part[]): Checksum {
  const kept = algorithm ?? 'CRC64NVME';
  const values = parts.map(({ checksums, bytes }) => ({ value: checksums[kept]!, bytes }));
  const value =
    type === 'COMPOSITE'
      ? compositeChecksum(
          kept,
          values.map((part) => part.value),
        )
      : fullObjectChecksum(kept, values);
  return { algorithm: kept, type, value };
}

/** What the completion itself may claim of the whole object. */
function checkWhole(
  headers: Call['headers'],
  object: { readonly bytes: number; readonly checksum: Checksum },
): void {
  const size = headers['x-amz-mp-object-size'];
  if (size !== undefined && size !== String(object.bytes))
    throw new AwsError(
      400,
      'InvalidRequest',
      'The provided x-amz-mp-object-size header does not match what was computed.',
    );
  const claimed = headers[checksumHeader(object.checksum.algorithm)];
  if (claimed !== undefined && String(claimed).split('-')[0] !== object.checksum.value.split('-')[0])
    throw new AwsError(
      400,
      'BadDigest',
      `The ${object.checksum.algorithm} you specified did not match the calculated checksum.`,
    );
}

const completed = ({ etag, checksum }: StoredObject, { bucket, key }: Address): Answer =>
  document('CompleteMultipartUploadResult', {
    Location: `http://${bucket}.s3.amazonaws.com/${key}`,
    Bucket: bucket,
    Key: key,
    ETag: `"${etag}"`,
    [checksumElement(checksum.algorithm)]: checksum.value,
    ChecksumType: checksum.type,
  });

function orThrow(answer: Answer | null): Answer {
  if (answer === null) throw noSuchUpload();
  return answer;
}
