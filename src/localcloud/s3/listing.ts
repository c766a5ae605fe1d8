/** ListObjectsV2, ListMultipartUploads and ListParts: pages in key order, cut at 1,000. */
import { AwsError } from '../wire/aws-error.ts';
import type { Answer, Call } from '../wire/call.ts';
import type { XmlNode } from '../wire/xml.ts';
import { bucketNamed, document, iso, wholeNumber, type Address, type Backing } from './backing.ts';
import { checksumElement, type ChecksumAlgorithm } from './checksum.ts';
import { compareKeys, firstNot } from './keys.ts';
import { uploadOf } from './multipart.ts';
import type { Bucket, Part, StoredObject, Upload } from './stored.ts';

const pageMax = 1000;
const owner = { ID: 'localcloud', DisplayName: 'localcloud' };

/** A key, or a common prefix that stands for all keys below it. */
type Entry =
  { readonly type: 'key'; readonly key: string } | { readonly type: 'prefix'; readonly prefix: string };

export async function listObjectsV2(backing: Backing, call: Call, at: Address): Promise<Answer> {
  const bucket = bucketNamed(backing, at.bucket);
  const asked = (name: string): string => call.query.get(name) ?? '';
  const [prefix, delimiter] = [asked('prefix'), asked('delimiter')];
  const limit = pageLimit(call, 'max-keys');
  const token = call.query.get('continuation-token');
  const after = token === null ? asked('start-after') : readToken(token);
  const { entries, more } = page(bucket.keys, { prefix, delimiter, after, limit });
  const last = entries.at(-1);
  const text = encoder(call);

  return document('ListBucketResult', {
    Name: at.bucket,
    Prefix: text(prefix),
    ...(delimiter === '' ? {} : { Delimiter: text(delimiter) }),
    ...(asked('start-after') === '' ? {} : { StartAfter: text(asked('start-after')) }),
    ...(token === null ? {} : { ContinuationToken: token }),
    ...(more && last !== undefined ? { NextContinuationToken: writeToken(last) } : {}),
    ...(asked('encoding-type') === '' ? {} : { EncodingType: 'url' }),
    KeyCount: entries.length,
    MaxKeys: limit,
    IsTruncated: more,
    Contents: entries.flatMap((entry) =>
      entry.type === 'key' ? [listedObject(bucket, entry.key, text, asked('fetch-owner') === 'true')] : [],
    ),
    CommonPrefixes: entries.flatMap((entry) =>
      entry.type === 'prefix' ? [{ Prefix: text(entry.prefix) }] : [],
    ),
  });
}

export async function listMultipartUploads(backing: Backing, call: Call, at: Address): Promise<Answer> {
  const bucket = bucketNamed(backing, at.bucket);
  const asked = (name: string): string => call.query.get(name) ?? '';
  const limit = pageLimit(call, 'max-uploads');
  const marker = { key: asked('key-marker'), id: asked('upload-id-marker') };
  const uploads = [...bucket.uploads.values()]
    .filter(({ key }) => key.startsWith(asked('prefix')))
    .sort((a, b) => compareKeys(a.key, b.key) || a.startedAt - b.startedAt || compareKeys(a.id, b.id));
  // With an id the page begins behind that upload of that key, without one behind the key.
  const found = uploads.findIndex(({ key, id }) => key === marker.key && id === marker.id);
  const rest =
    found >= 0
      ? uploads.slice(found + 1)
      : uploads.filter(({ key }) => marker.key === '' || compareKeys(key, marker.key) > 0);
  const shown = rest.slice(0, limit);
  const last = rest.length > shown.length ? shown.at(-1) : undefined;
  const text = encoder(call);

  return document('ListMultipartUploadsResult', {
    Bucket: at.bucket,
    KeyMarker: text(marker.key),
    UploadIdMarker: marker.id,
    ...(last === undefined ? {} : { NextKeyMarker: text(last.key), NextUploadIdMarker: last.id }),
    Prefix: text(asked('prefix')),
    MaxUploads: limit,
    IsTruncated: rest.length > shown.length,
    Upload: shown.map((upload) => ({
      Key: text(upload.key),
      UploadId: upload.id,
      Initiator: owner,
      Owner: owner,
      StorageClass: 'STANDARD',
      Initiated: iso(upload.startedAt),
      ...checksumNames(upload),
    })),
  });
}

export async function listParts(backing: Backing, call: Call, at: Address): Promise<Answer> {
  const upload = uploadOf(backing, call, at);
  const limit = pageLimit(call, 'max-parts');
  const marker = wholeNumber(call, 'part-number-marker', 0);
  if (marker === null) throw invalidArgument('part-number-marker');
  const rest = [...upload.parts.values()]
    .sort((a, b) => a.number - b.number)
    .filter(({ number }) => number > marker);
  const shown = rest.slice(0, limit);

  return document('ListPartsResult', {
    Bucket: at.bucket,
    Key: at.key,
    UploadId: upload.id,
    PartNumberMarker: marker,
    NextPartNumberMarker: shown.at(-1)?.number ?? 0,
    MaxParts: limit,
    IsTruncated: rest.length > shown.length,
    ...checksumNames(upload),
    Part: shown.map((part) => listedPart(part, upload)),
    Initiator: owner,
    Owner: owner,
    StorageClass: 'STANDARD',
  });
}

/** The next entries behind `after`, which is a key or a common prefix of an earlier page. */
function page(
  keys: readonly string[],
  {
    prefix,
    delimiter,
    after,
    limit,
  }: {
    readonly prefix: string;
    readonly delimiter: string;
    readonly after: string;
    readonly limit: number;
  },
): { readonly entries: readonly Entry[]; readonly more: boolean } {
  const entries: Entry[] = [];
  const skipped = delimiter !== '' && after.startsWith(prefix) && after.endsWith(delimiter) ? after : null;
  let at = firstNot(keys, (key) => compareKeys(key, prefix) < 0);
  at = firstNot(keys, (key) => compareKeys(key, after) <= 0, at);
  if (skipped !== null) at = firstNot(keys, (key) => key.startsWith(skipped), at);
  while (at < keys.length && keys[at]!.startsWith(prefix)) {
    if (entries.length >= limit) return { entries, more: limit > 0 };
    const key = keys[at]!;
    const cut = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
    if (cut < 0) {
      entries.push({ type: 'key', key });
      at += 1;
    } else {
      const common = key.slice(0, cut + delimiter.length);
      entries.push({ type: 'prefix', prefix: common });
      at = firstNot(keys, (other) => other.startsWith(common), at);
    }
  }
  return { entries, more: false };
}

function listedObject(
  bucket: Bucket,
  key: string,
  text: (plain: string) => string,
  withOwner: boolean,
): XmlNode {
  const { etag, bytes, modifiedAt, checksum }: StoredObject = bucket.objects.get(key)!;
  return {
    Key: text(key),
    LastModified: iso(modifiedAt),
    ETag: `"${etag}"`,
    ChecksumAlgorithm: checksum.algorithm,
    ChecksumType: checksum.type,
    Size: bytes,
    ...(withOwner ? { Owner: owner } : {}),
    StorageClass: 'STANDARD',
  };
}

function listedPart({ number, etag, bytes, modifiedAt, checksums }: Part, { algorithm }: Upload): XmlNode {
  const given = algorithm === null ? [] : (Object.entries(checksums) as [ChecksumAlgorithm, string][]);
  return {
    PartNumber: number,
    LastModified: iso(modifiedAt),
    ETag: `"${etag}"`,
    Size: bytes,
    ...Object.fromEntries(given.map(([name, value]) => [checksumElement(name), value])),
  };
}

const checksumNames = ({ algorithm, type }: Upload): Record<string, string> =>
  algorithm === null ? {} : { ChecksumAlgorithm: algorithm, ChecksumType: type };

function pageLimit(call: Call, name: string): number {
  const limit = wholeNumber(call, name, pageMax);
  if (limit === null) throw invalidArgument(name);
  return Math.min(limit, pageMax);
}

/** XML cannot carry every key; a client that knows asks for `encoding-type=url`. */
const encoder = (call: Call): ((plain: string) => string) =>
  call.query.get('encoding-type') === 'url'
    ? (plain) => encodeURIComponent(plain).replaceAll('%2F', '/')
    : (plain) => plain;

const writeToken = (entry: Entry): string =>
  Buffer.from(entry.type === 'key' ? entry.key : entry.prefix).toString('base64url');

function readToken(token: string): string {
  const text = Buffer.from(token, 'base64url').toString('utf8');
  if (text === '') throw new AwsError(400, 'InvalidArgument', 'The continuation token provided is incorrect');
  return text;
}

const invalidArgument = (name: string): AwsError =>
  new AwsError(400, 'InvalidArgument', `Provided ${name} not an integer or within integer range`, {
    details: { ArgumentName: name },
  });
