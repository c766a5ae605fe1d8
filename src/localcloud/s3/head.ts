/** What an object carries besides its bytes, from the headers of a request and back into those of an answer. */
import type { IncomingHttpHeaders } from 'node:http';
import { AwsError } from '../wire/aws-error.ts';
import type { Call } from '../wire/call.ts';
import { checksumHeader } from './checksum.ts';
import type { ObjectHead, StoredObject } from './stored.ts';

const kept = [
  'content-type',
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'expires',
] as const;
const metadataPrefix = 'x-amz-meta-';
/** Names and values of user metadata together, bytes (S3 User Guide, "Working with object metadata"). */
const metadataBytesMax = 2048;

export function headFrom(headers: IncomingHttpHeaders): ObjectHead {
  const given: [string, string][] = kept.flatMap((name) => {
    const value = headers[name];
    return typeof value === 'string' ? [[name, value] as [string, string]] : [];
  });
  const metadata: [string, string][] = Object.entries(headers)
    .filter(([name]) => name.startsWith(metadataPrefix))
    .map(([name, value]) => [name.slice(metadataPrefix.length), String(value)]);
  if (metadata.flat().reduce((bytes, text) => bytes + Buffer.byteLength(text), 0) > metadataBytesMax)
    throw new AwsError(
      400,
      'MetadataTooLarge',
      'Your metadata headers exceed the maximum allowed metadata size',
    );
  const named = Object.fromEntries(given);
  // The coding of the transfer is no property of the object.
  const coding = (named['content-encoding'] ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '' && part !== 'aws-chunked')
    .join(',');
  delete named['content-encoding'];
  if (coding !== '') named['content-encoding'] = coding;
  named['content-type'] ??= 'binary/octet-stream';
  return { headers: named, metadata: Object.fromEntries(metadata) };
}

/** `whole` is false for a range: a checksum of the object says nothing about a part of its bytes. */
export function headersOf(object: StoredObject, call: Call, whole: boolean): Record<string, string> {
  const metadata = Object.entries(object.head.metadata).map(([name, value]) => [
    metadataPrefix + name,
    value,
  ]);
  const wantsChecksum = call.headers['x-amz-checksum-mode'] === 'ENABLED' && whole;
  return {
    ...object.head.headers,
    ...Object.fromEntries(metadata),
    etag: `"${object.etag}"`,
    'last-modified': new Date(object.modifiedAt).toUTCString(),
    'accept-ranges': 'bytes',
    'x-amz-server-side-encryption': 'AES256',
    ...(wantsChecksum ? checksumHeaders(object) : {}),
  };
}

export const checksumHeaders = ({ checksum }: StoredObject): Record<string, string> => ({
  [checksumHeader(checksum.algorithm)]: checksum.value,
  'x-amz-checksum-type': checksum.type,
});
