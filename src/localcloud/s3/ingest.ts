/**
 * Takes the bytes of a PutObject or UploadPart: undoes their coding, writes them to a file as they come, digests them
 * on the way, and keeps the file only when everything the client said of them is true.
 */
import { createHash, type Hash } from 'node:crypto';
import { AwsError } from '../wire/aws-error.ts';
import type { Call } from '../wire/call.ts';
import { payloadForm, unchunked, type PayloadForm } from './aws-chunked.ts';
import type { Blobs } from './blobs.ts';
import {
  checksumDigest,
  checksumHeader,
  isChecksum,
  type ChecksumAlgorithm,
  type DeclaredChecksum,
  type Digest,
} from './checksum.ts';

export type Ingested = {
  readonly blob: string;
  readonly bytes: number;
  /** Hexadecimal: the ETag. */
  readonly md5: string;
  /** Base64, of every algorithm declared or asked for. */
  readonly checksums: Partial<Record<ChecksumAlgorithm, string>>;
};

/** What AWS takes in one PutObject or UploadPart. */
const bytesMax = 5 * 1024 ** 3;

/** `wanted` are computed whether the client declares them or not. Nothing is kept when it throws. */
export async function ingest(
  call: Call,
  body: AsyncIterable<Uint8Array>,
  blobs: Blobs,
  {
    declared,
    wanted,
  }: { readonly declared: DeclaredChecksum | null; readonly wanted: readonly ChecksumAlgorithm[] },
): Promise<Ingested> {
  const form = payloadForm(String(call.headers['x-amz-content-sha256']));
  const bytes = announcedBytes(call, form);
  const digests = openDigests([...wanted, ...(declared === null ? [] : [declared.algorithm])]);
  const whole = form.type === 'plain' && form.sha256 !== null ? createHash('sha256') : null;
  const trailers = new Map<string, string>();
  return taken(decoded(call, form, body, trailers), blobs, {
    bytes,
    digests,
    besides: whole,
    check(md5, checksums) {
      if (form.type === 'plain' && whole !== null && whole.digest('hex') !== form.sha256)
        throw new AwsError(
          400,
          'XAmzContentSHA256Mismatch',
          "The provided 'x-amz-content-sha256' header does not match what was computed.",
        );
      checkMd5(call, md5);
      if (declared !== null) checkDeclared(declared, checksums, trailers);
    },
  });
}

/** The same for bytes that are here already, which nobody needs to vouch for. */
export const duplicate = (
  pieces: AsyncIterable<Uint8Array>,
  blobs: Blobs,
  of: { readonly bytes: number; readonly wanted: readonly ChecksumAlgorithm[] },
): Promise<Ingested> =>
  taken(pieces, blobs, { bytes: of.bytes, digests: openDigests(of.wanted), besides: null, check: () => {} });

async function taken(
  pieces: AsyncIterable<Uint8Array>,
  blobs: Blobs,
  {
    bytes,
    digests,
    besides,
    check,
  }: {
    readonly bytes: number;
    readonly digests: ReadonlyMap<ChecksumAlgorithm, Digest>;
    readonly besides: Hash | null;
    check(md5: Buffer, checksums: Ingested['checksums']): void;
  },
): Promise<Ingested> {
  const md5 = createHash('md5');
  const file = await blobs.create();
  try {
    let received = 0;
    for await (const piece of pieces) {
      received += piece.length;
      if (received > bytes) throw incomplete();
      md5.update(piece);
      besides?.update(piece);
      for (const digest of digests.values()) digest.update(piece);
      await file.write(piece);
    }
    if (received !== bytes) throw incomplete();
    const checksums = valuesOf(digests);
    const sum = md5.digest();
    check(sum, checksums);
    await file.keep();
    return { blob: file.blob, bytes, md5: sum.toString('hex'), checksums };
  } catch (error) {
    await file.discard();
    throw error;
  }
}

function announcedBytes({ headers }: Call, form: PayloadForm): number {
  const header = form.type === 'chunked' ? 'x-amz-decoded-content-length' : 'content-length';
  const text = headers[header];
  if (typeof text !== 'string' || !/^\d{1,15}$/.test(text))
    throw new AwsError(411, 'MissingContentLength', `You must provide the ${header} HTTP header.`);
  if (Number(text) > bytesMax)
    throw new AwsError(400, 'EntityTooLarge', 'Your proposed upload exceeds the maximum allowed size', {
      details: { ProposedSize: text, MaxSizeAllowed: String(bytesMax) },
    });
  return Number(text);
}

const decoded = (
  call: Call,
  form: PayloadForm,
  body: AsyncIterable<Uint8Array>,
  trailers: Map<string, string>,
): AsyncIterable<Uint8Array> =>
  form.type === 'plain'
    ? body
    : unchunked(body, { signing: form.signed ? call.signing : null, trailer: form.trailer, trailers });

const openDigests = (algorithms: readonly ChecksumAlgorithm[]): ReadonlyMap<ChecksumAlgorithm, Digest> =>
  new Map(algorithms.map((algorithm) => [algorithm, checksumDigest(algorithm)]));

const valuesOf = (digests: ReadonlyMap<ChecksumAlgorithm, Digest>): Ingested['checksums'] =>
  Object.fromEntries([...digests].map(([name, digest]) => [name, digest.value().toString('base64')]));

function checkMd5({ headers }: Call, computed: Buffer): void {
  const declared = headers['content-md5'];
  if (declared === undefined) return;
  const bytes = Buffer.from(String(declared), 'base64');
  if (bytes.length !== 16)
    throw new AwsError(400, 'InvalidDigest', 'The Content-MD5 you specified was invalid.');
  if (!bytes.equals(computed))
    throw new AwsError(400, 'BadDigest', 'The Content-MD5 you specified did not match what we received.');
}

function checkDeclared(
  { algorithm, expected }: DeclaredChecksum,
  computed: Ingested['checksums'],
  trailers: ReadonlyMap<string, string>,
): void {
  const value = expected ?? trailers.get(checksumHeader(algorithm));
  if (value === undefined)
    throw new AwsError(
      400,
      'MalformedTrailerError',
      'The request contained trailing data that was not well-formed.',
    );
  if (!isChecksum(algorithm, value))
    throw new AwsError(
      400,
      'InvalidRequest',
      `Value for ${checksumHeader(algorithm)} trailing header is invalid.`,
    );
  if (value !== computed[algorithm])
    throw new AwsError(
      400,
      'BadDigest',
      `The ${algorithm} you specified did not match the calculated checksum.`,
    );
}

const incomplete = (): AwsError =>
  new AwsError(
    400,
    'IncompleteBody',
    'You did not provide the number of bytes specified by the Content-Length HTTP header',
  );
