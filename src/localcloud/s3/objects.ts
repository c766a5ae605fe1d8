/** PutObject, GetObject, HeadObject, CopyObject, DeleteObject, DeleteObjects. */
import { AwsError } from '../wire/aws-error.ts';
import { readWhole } from '../wire/body.ts';
import type { Answer, Call } from '../wire/call.ts';
import { parseXml, type XmlNode } from '../wire/xml.ts';
import { bucketNamed, document, empty, iso, type Address, type Backing } from './backing.ts';
import { checksumElement, declaredChecksum } from './checksum.ts';
import { checkCommit, checkRead, checkWrite, names, noSuchKey, unmet, writeCondition } from './conditions.ts';
import { checksumHeaders, headersOf, headFrom } from './head.ts';
import { ingest } from './ingest.ts';
import { requestedRange, type ByteRange } from './range.ts';
import { copySource, storedBytes } from './source.ts';
import type { Bucket, StoredObject } from './stored.ts';

/** DeleteObjects takes 1,000 keys of 1,024 bytes at most. */
const deleteBytesMax = 2 * 1024 * 1024;
const deleteKeysMax = 1000;

export async function putObject(backing: Backing, call: Call, at: Address): Promise<Answer> {
  const bucket = bucketNamed(backing, at.bucket);
  const condition = writeCondition(call.headers);
  const seen = bucket.objects.get(at.key);
  checkWrite(condition, seen);
  const head = headFrom(call.headers);
  const declared = declaredChecksum(call.headers);
  // What S3 itself computes for an object that came with nothing.
  const algorithm = declared?.algorithm ?? 'CRC64NVME';
  const body = backing.shaping.up(call, call.body);
  const expected = { declared, wanted: [algorithm] };
  const { blob, bytes, md5, checksums } = await ingest(call, body, backing.store.blobs, expected);
  const object: StoredObject = {
    key: at.key,
    etag: md5,
    bytes,
    modifiedAt: backing.clock.wallNow(),
    head,
    checksum: { algorithm, value: checksums[algorithm]!, type: 'FULL_OBJECT' },
    segments: [{ blob, bytes }],
    uploadId: null,
  };
  await commitOrDrop(backing, bucket, object, (current) => checkCommit(condition, seen, current));
  return empty(200, {
    etag: `"${md5}"`,
    'x-amz-server-side-encryption': 'AES256',
    ...checksumHeaders(object),
  });
}

export async function getObject(backing: Backing, call: Call, at: Address): Promise<Answer> {
  const object = readable(backing, call, at);
  const range = requestedRange(call.headers.range, object.bytes);
  const answer = described(object, call, range);
  if (object.bytes === 0) return answer;
  // The files stay until the call is over, even when the object is replaced or deleted meanwhile.
  const release = backing.store.blobs.hold(object.segments.map(({ blob }) => blob));
  if (call.signal.aborted) release();
  else call.signal.addEventListener('abort', release, { once: true });
  const bytes = storedBytes(backing, object, range ?? { first: 0, last: object.bytes - 1 });
  return { ...answer, body: backing.shaping.down(call, bytes) };
}

export async function headObject(backing: Backing, call: Call, at: Address): Promise<Answer> {
  const object = readable(backing, call, at);
  return described(object, call, requestedRange(call.headers.range, object.bytes));
}

export async function deleteObject(backing: Backing, call: Call, at: Address): Promise<Answer> {
  const bucket = bucketNamed(backing, at.bucket);
  await backing.store.remove(bucket, at.key, (current) => checkDelete(call.headers['if-match'], current));
  return empty(204);
}

export async function deleteObjects(backing: Backing, call: Call, at: Address): Promise<Answer> {
  const bucket = bucketNamed(backing, at.bucket);
  const text = (await readWhole(call.body, deleteBytesMax)).toString('utf8');
  const asked = parseXml(text, { root: 'Delete', lists: ['Object'] });
  const entries = (asked?.['Object'] ?? []) as { readonly Key?: string; readonly ETag?: string }[];
  if (asked === null || entries.length === 0 || entries.length > deleteKeysMax) throw malformedXml();

  const deleted: XmlNode[] = [];
  const failed: XmlNode[] = [];
  for (const { Key = '', ETag } of entries) {
    try {
      await backing.store.remove(bucket, Key, (current) => checkDelete(ETag, current));
      deleted.push({ Key });
    } catch (error) {
      // One key's refusal is an entry of the answer; anything else is everybody's.
      if (!(error instanceof AwsError)) throw error;
      failed.push({ Key, Code: error.code, Message: error.message });
    }
  }
  return document('DeleteResult', {
    Deleted: asked['Quiet'] === 'true' ? [] : deleted,
    Error: failed,
  });
}

export async function copyObject(backing: Backing, call: Call, at: Address): Promise<Answer> {
  const { source, from } = copySource(backing, call);
  const replaces = call.headers['x-amz-metadata-directive'] === 'REPLACE';
  if (from.bucket === at.bucket && from.key === at.key && !replaces)
    throw new AwsError(
      400,
      'InvalidRequest',
      "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
    );
  const bucket = bucketNamed(backing, at.bucket);
  const condition = writeCondition(call.headers);
  const seen = bucket.objects.get(at.key);
  checkWrite(condition, seen);

  const object: StoredObject = {
    ...source,
    key: at.key,
    modifiedAt: backing.clock.wallNow(),
    head: replaces ? headFrom(call.headers) : source.head,
    segments: await copiedSegments(backing, source),
    uploadId: null,
  };
  await commitOrDrop(backing, bucket, object, (current) => checkCommit(condition, seen, current));
  const { algorithm, value, type } = object.checksum;
  return document('CopyObjectResult', {
    ETag: `"${object.etag}"`,
    LastModified: iso(object.modifiedAt),
    ChecksumType: type,
    [checksumElement(algorithm)]: value,
  });
}

function readable(backing: Backing, call: Call, at: Address): StoredObject {
  const object = bucketNamed(backing, at.bucket).objects.get(at.key);
  if (object === undefined) throw noSuchKey();
  checkRead(call.headers, object, '');
  return object;
}

function described(object: StoredObject, call: Call, range: ByteRange | null): Answer {
  const headers = headersOf(object, call, range === null);
  if (range === null) return empty(200, { ...headers, 'content-length': String(object.bytes) });
  return empty(206, {
    ...headers,
    'content-length': String(range.last - range.first + 1),
    'content-range': `bytes ${range.first}-${range.last}/${object.bytes}`,
  });
}

async function copiedSegments({ store }: Backing, source: StoredObject): Promise<StoredObject['segments']> {
  const release = store.blobs.hold(source.segments.map(({ blob }) => blob));
  try {
    const copies: StoredObject['segments'] = [];
    for (const { blob, bytes } of source.segments) copies.push({ blob: await store.blobs.copy(blob), bytes });
    return copies;
  } finally {
    release();
  }
}

/** The bytes are there before the object is; when it may not be, they go again. */
async function commitOrDrop(
  { store }: Backing,
  bucket: Bucket,
  object: StoredObject,
  judge: (current: StoredObject | undefined) => void,
): Promise<void> {
  try {
    await store.commit(bucket, object, judge);
  } catch (error) {
    await store.blobs.drop(object.segments.map(({ blob }) => blob));
    throw error;
  }
}

/** S3 deletes what is not there without a word, unless it was asked to be sure. */
function checkDelete(etag: string | undefined, current: StoredObject | undefined): void {
  if (etag === undefined) return;
  if (current === undefined) throw noSuchKey();
  if (!names(etag, current)) throw unmet('If-Match');
}

export const malformedXml = (): AwsError =>
  new AwsError(
    400,
    'MalformedXML',
    'The XML you provided was not well-formed or did not validate against our published schema',
  );
