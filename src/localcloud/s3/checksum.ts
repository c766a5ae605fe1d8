/**
 * The checksums S3 keeps of an object (S3 User Guide, "Checking object integrity"): one algorithm an object, over its
 * bytes (FULL_OBJECT), or, for a multipart upload, over the checksums of its parts (COMPOSITE, with `-N` behind).
 */
import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { crc32 } from 'node:zlib';
import { assert } from '../../std/assert.ts';
import { AwsError } from '../wire/aws-error.ts';
import {
  combined,
  crc32cPolynomial,
  crc32Polynomial,
  crc64NvmePolynomial,
  crcTables,
  runningCrc,
  type CrcTables,
  type Polynomial,
} from './crc.ts';

export type ChecksumAlgorithm = 'CRC32' | 'CRC32C' | 'CRC64NVME' | 'SHA1' | 'SHA256';
export type ChecksumType = 'FULL_OBJECT' | 'COMPOSITE';
export type Checksum = {
  readonly algorithm: ChecksumAlgorithm;
  /** Base64; followed by `-N` when COMPOSITE. */
  readonly value: string;
  readonly type: ChecksumType;
};
export type Digest = { update(bytes: Uint8Array): void; value(): Buffer };

/** `expected` is null when it comes in the trailer of an aws-chunked body. */
export type DeclaredChecksum = { readonly algorithm: ChecksumAlgorithm; readonly expected: string | null };

const bytesOf: Readonly<Record<ChecksumAlgorithm, number>> = {
  CRC32: 4,
  CRC32C: 4,
  CRC64NVME: 8,
  SHA1: 20,
  SHA256: 32,
};
export const checksumAlgorithms = Object.keys(bytesOf) as readonly ChecksumAlgorithm[];
const polynomials: Partial<Readonly<Record<ChecksumAlgorithm, Polynomial>>> = {
  CRC32: crc32Polynomial,
  CRC32C: crc32cPolynomial,
  CRC64NVME: crc64NvmePolynomial,
};
const crc32cTables = crcTables(crc32cPolynomial);
const crc64Tables = crcTables(crc64NvmePolynomial);

export const checksumHeader = (algorithm: ChecksumAlgorithm): string =>
  `x-amz-checksum-${algorithm.toLowerCase()}`;
/** As XML elements and the SDKs name it. */
export const checksumElement = (algorithm: ChecksumAlgorithm): string => `Checksum${algorithm}`;

export const checksumAlgorithm = (text: string | undefined): ChecksumAlgorithm | null =>
  checksumAlgorithms.find((algorithm) => algorithm === text?.toUpperCase()) ?? null;

export function checksumDigest(algorithm: ChecksumAlgorithm): Digest {
  switch (algorithm) {
    case 'CRC32': {
      let sum = 0;
      return {
        update: (bytes) => void (sum = crc32(bytes, sum)),
        value: () => bigEndian(BigInt(sum), 4),
      };
    }
    case 'CRC32C':
      return crcDigest(crc32cTables);
    case 'CRC64NVME':
      return crcDigest(crc64Tables);
    case 'SHA1':
    case 'SHA256': {
      const hash = createHash(algorithm);
      return { update: (bytes) => void hash.update(bytes), value: () => hash.digest() };
    }
  }
}

/** What the headers of an upload say of its bytes; null when they say nothing. Throws AwsError for nonsense. */
export function declaredChecksum(headers: IncomingHttpHeaders): DeclaredChecksum | null {
  const given = checksumAlgorithms.filter((algorithm) => headers[checksumHeader(algorithm)] !== undefined);
  const trailed = checksumAlgorithms.filter(
    (algorithm) => headers['x-amz-trailer'] === checksumHeader(algorithm),
  );
  if (given.length + trailed.length > 1)
    throw invalid('Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.');
  if (given[0] !== undefined) {
    const expected = String(headers[checksumHeader(given[0])]);
    if (!isChecksum(given[0], expected))
      throw invalid(`Value for ${checksumHeader(given[0])} header is invalid.`);
    return { algorithm: given[0], expected };
  }
  if (trailed[0] !== undefined) return { algorithm: trailed[0], expected: null };
  if (headers['x-amz-sdk-checksum-algorithm'] !== undefined)
    throw invalid(
      'x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.',
    );
  return null;
}

/** Whether the text has the form of a value of this algorithm: the base64 of so many bytes. */
export function isChecksum(algorithm: ChecksumAlgorithm, value: string): boolean {
  const bytes = Buffer.from(value, 'base64');
  return bytes.length === bytesOf[algorithm] && bytes.toString('base64') === value;
}

/** The checksum of the parts' checksums, for objects of type COMPOSITE. */
export function compositeChecksum(algorithm: ChecksumAlgorithm, parts: readonly string[]): string {
  const digest = checksumDigest(algorithm);
  for (const part of parts) digest.update(Buffer.from(part, 'base64'));
  return `${digest.value().toString('base64')}-${parts.length}`;
}

/** The checksum of all bytes from those of the parts, which only a cyclic redundancy check allows. */
export function fullObjectChecksum(
  algorithm: ChecksumAlgorithm,
  parts: readonly { readonly value: string; readonly bytes: number }[],
): string {
  const polynomial = polynomials[algorithm];
  assert(polynomial !== undefined, 'a hash is never of type FULL_OBJECT in a multipart upload');
  const sum = parts.reduce(
    (before, { value, bytes }) => combined(polynomial, before, fromBase64(value), bytes),
    0n, // the check of nothing at all
  );
  return bigEndian(sum, polynomial.bits / 8).toString('base64');
}

function crcDigest(tables: CrcTables): Digest {
  const running = runningCrc(tables);
  return { update: running.update, value: () => bigEndian(running.value(), tables.bits / 8) };
}

const bigEndian = (value: bigint, bytes: number): Buffer =>
  Buffer.from(value.toString(16).padStart(bytes * 2, '0'), 'hex');

const fromBase64 = (value: string): bigint => BigInt(`0x${Buffer.from(value, 'base64').toString('hex')}`);

const invalid = (message: string): AwsError => new AwsError(400, 'InvalidRequest', message);
