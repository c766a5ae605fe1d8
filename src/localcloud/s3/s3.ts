/**
 * S3, path style: `/bucket/key?subresource`. Which operation a request means is decided here, by one table; an
 * operation that is not in it is refused by name, never half done.
 *
 * Not here: versions, access control, tags, encryption, presigned URLs, virtual-host addresses. A node uses none.
 */
import type { Clock } from '../../node/ports.ts';
import { after } from '../../std/time.ts';
import { AwsError } from '../wire/aws-error.ts';
import type { Api, Call } from '../wire/call.ts';
import type { Address, Backing, S3Operation } from './backing.ts';
import { bucketLocation, createBucket, deleteBucket, headBucket, listBuckets } from './buckets.ts';
import { completeMultipartUpload } from './completion.ts';
import { deleteLifecycle, getLifecycle, putLifecycle, sweep } from './lifecycle.ts';
import { listMultipartUploads, listObjectsV2, listParts } from './listing.ts';
import { abortMultipartUpload, createMultipartUpload, uploadPart, uploadPartCopy } from './multipart.ts';
import { copyObject, deleteObject, deleteObjects, getObject, headObject, putObject } from './objects.ts';
import { openShaping, type Bandwidth, type RequestRate } from './shaping.ts';
import { openStore } from './store.ts';

export type S3Options = {
  /** Where everything is kept; a later S3 on the same directory finds it again. */
  readonly dir: string;
  readonly clock: Clock;
  readonly region: string;
  /** How long a day of a lifecycle rule is, ms: 86,400,000, or seconds in a development cluster. */
  readonly dayMs: number;
  readonly requestRate: RequestRate;
  /** Null: not limited. */
  bandwidthOf(instanceId: string): Bandwidth | null;
  /** Hears of what no caller can be told: a lifecycle sweep or a clean-up that did not work. */
  report(error: unknown): void;
};

export type S3 = Api & {
  /** Applies the lifecycle rules now; it also happens by itself, once a day (`dayMs`) or a minute. */
  sweep(): Promise<void>;
  close(): void;
};

type Row = {
  readonly method: string;
  readonly on: 'account' | 'bucket' | 'object';
  /** The subresource in the query; null for none. */
  readonly of: string | null;
  readonly name: string;
  readonly run: S3Operation;
};

const table: readonly Row[] = [
  { method: 'GET', on: 'account', of: null, name: 'ListBuckets', run: listBuckets },
  { method: 'PUT', on: 'bucket', of: null, name: 'CreateBucket', run: createBucket },
  { method: 'HEAD', on: 'bucket', of: null, name: 'HeadBucket', run: headBucket },
  { method: 'DELETE', on: 'bucket', of: null, name: 'DeleteBucket', run: deleteBucket },
  { method: 'GET', on: 'bucket', of: 'location', name: 'GetBucketLocation', run: bucketLocation },
  { method: 'GET', on: 'bucket', of: 'list-type', name: 'ListObjectsV2', run: listObjectsV2 },
  { method: 'GET', on: 'bucket', of: 'uploads', name: 'ListMultipartUploads', run: listMultipartUploads },
  { method: 'POST', on: 'bucket', of: 'delete', name: 'DeleteObjects', run: deleteObjects },
  {
    method: 'PUT',
    on: 'bucket',
    of: 'lifecycle',
    name: 'PutBucketLifecycleConfiguration',
    run: putLifecycle,
  },
  {
    method: 'GET',
    on: 'bucket',
    of: 'lifecycle',
    name: 'GetBucketLifecycleConfiguration',
    run: getLifecycle,
  },
  { method: 'DELETE', on: 'bucket', of: 'lifecycle', name: 'DeleteBucketLifecycle', run: deleteLifecycle },
  { method: 'PUT', on: 'object', of: null, name: 'PutObject', run: putObject },
  { method: 'GET', on: 'object', of: null, name: 'GetObject', run: getObject },
  { method: 'HEAD', on: 'object', of: null, name: 'HeadObject', run: headObject },
  { method: 'DELETE', on: 'object', of: null, name: 'DeleteObject', run: deleteObject },
  { method: 'POST', on: 'object', of: 'uploads', name: 'CreateMultipartUpload', run: createMultipartUpload },
  { method: 'PUT', on: 'object', of: 'uploadId', name: 'UploadPart', run: uploadPart },
  { method: 'GET', on: 'object', of: 'uploadId', name: 'ListParts', run: listParts },
  {
    method: 'POST',
    on: 'object',
    of: 'uploadId',
    name: 'CompleteMultipartUpload',
    run: completeMultipartUpload,
  },
  { method: 'DELETE', on: 'object', of: 'uploadId', name: 'AbortMultipartUpload', run: abortMultipartUpload },
];
/** What a PUT is when its bytes come from another object. */
const copies: Readonly<Record<string, Row>> = {
  PutObject: { method: 'PUT', on: 'object', of: null, name: 'CopyObject', run: copyObject },
  UploadPart: { method: 'PUT', on: 'object', of: 'uploadId', name: 'UploadPartCopy', run: uploadPartCopy },
};

/** Parameters that make a request another operation than the one its method names. */
const subresources =
  'accelerate acl analytics append attributes cors delete encryption intelligent-tiering inventory legal-hold lifecycle list-type location logging metrics notification object-lock ownershipControls partNumber policy policyStatus publicAccessBlock renameObject replication requestPayment restore retention select tagging torrent uploadId uploads versionId versioning versions website'.split(
    ' ',
  );

const keyBytesMax = 1024;
const sweepMsMax = 60_000;

export async function openS3(options: S3Options): Promise<S3> {
  const { clock, region, dayMs, report } = options;
  const shaping = openShaping(options);
  const backing: Backing = { store: await openStore(options.dir, report), clock, shaping, region };
  const applyRules = (): Promise<void> => sweep(backing, dayMs);
  const stop = repeat(clock, Math.min(dayMs, sweepMsMax), () => applyRules().catch(report));
  return {
    name: 's3',
    dialect: 'rest-xml',
    operation: (call) => rowOf(call, addressIn(call))?.name ?? 'Unknown',
    async answer(call) {
      const at = addressIn(call);
      const row = rowOf(call, at);
      if (row === null)
        throw new AwsError(501, 'NotImplemented', 'The local cloud does not know this operation.');
      if (Buffer.byteLength(at.key) > keyBytesMax)
        throw new AwsError(400, 'KeyTooLongError', 'Your key is too long');
      const folder = at.key.slice(0, at.key.indexOf('/') + 1);
      shaping.admit(`${at.bucket}/${folder}`, ['GET', 'HEAD'].includes(call.method) ? 'reads' : 'writes');
      return row.run(backing, call, at);
    },
    sweep: applyRules,
    close: stop,
  };
}

function rowOf(call: Call, { bucket, key }: Address): Row | null {
  const on = bucket === '' ? 'account' : key === '' ? 'bucket' : 'object';
  const named = subresources.filter((name) => call.query.has(name));
  // A part is named by its number and its upload together.
  const [of = null, ...others] = named.filter((name) => name !== 'partNumber' || !named.includes('uploadId'));
  if (others.length > 0) return null;
  const row = table.find((known) => known.method === call.method && known.on === on && known.of === of);
  if (call.headers['x-amz-copy-source'] === undefined) return row ?? null;
  return copies[row?.name ?? ''] ?? null;
}

/** Throws AwsError for a path that is not percent-encoded UTF-8. */
function addressIn({ path }: Call): Address {
  try {
    const plain = decodeURIComponent(path.slice(1));
    const cut = plain.indexOf('/');
    return cut < 0 ? { bucket: plain, key: '' } : { bucket: plain.slice(0, cut), key: plain.slice(cut + 1) };
  } catch (error) {
    if (error instanceof URIError) throw new AwsError(400, 'InvalidURI', "Couldn't parse the specified URI.");
    throw error;
  }
}

/** Runs `work` every `everyMs`, never twice at once, until the returned function is called. */
function repeat(clock: Clock, everyMs: number, work: () => Promise<void>): () => void {
  let stopped = false;
  let disarm = (): void => {};
  const arm = (): void => {
    disarm = clock.wakeAt(after(clock.now(), everyMs), () => {
      void work().finally(() => {
        if (!stopped) arm();
      });
    });
  };
  arm();
  return () => {
    stopped = true;
    disarm();
  };
}
