/** Checksums and codings of bodies, by what AWS and the catalogue of CRCs publish. */
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { deepEqual, equal, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import { payloadForm, unchunked } from '../../src/localcloud/s3/aws-chunked.ts';
import {
  checksumAlgorithms,
  checksumDigest,
  fullObjectChecksum,
  type ChecksumAlgorithm,
} from '../../src/localcloud/s3/checksum.ts';
import type { Signing } from '../../src/localcloud/wire/sigv4.ts';
import { Bucket, openS3Rig, refusalOf } from './s3-rig.ts';

const sum = (algorithm: ChecksumAlgorithm, bytes: Uint8Array): string => {
  const digest = checksumDigest(algorithm);
  digest.update(bytes);
  return digest.value().toString('base64');
};

test('each check has its published value', () => {
  const nine = Buffer.from('123456789');
  const hex = (algorithm: ChecksumAlgorithm): string =>
    Buffer.from(sum(algorithm, nine), 'base64').toString('hex');
  deepEqual((['CRC32', 'CRC32C', 'CRC64NVME'] as const).map(hex), [
    'cbf43926',
    'e3069283',
    'ae8b14860a799888',
  ]);
});

test('a check does not depend on how its bytes are cut', () => {
  const bytes = Buffer.alloc(10_007, 'uneven');
  for (const algorithm of checksumAlgorithms)
    for (const cut of [0, 1, 7, 8, 9, 4096, 10_006]) {
      const digest = checksumDigest(algorithm);
      digest.update(bytes.subarray(0, cut));
      digest.update(bytes.subarray(cut));
      equal(digest.value().toString('base64'), sum(algorithm, bytes), `${algorithm} cut at ${cut}`);
    }
});

test('the checks of parts add up to the check of the whole', () => {
  const bytes = Buffer.alloc(1_000_003, 'whole');
  const cuts = [0, 1, 1, 500_000, 1_000_003];
  for (const algorithm of ['CRC32', 'CRC32C', 'CRC64NVME'] as const) {
    const parts = cuts.slice(1).map((end, at) => {
      const part = bytes.subarray(cuts[at], end);
      return { value: sum(algorithm, part), bytes: part.length };
    });
    equal(fullObjectChecksum(algorithm, parts), sum(algorithm, bytes), algorithm);
  }
});

test('an upload in parts that names no algorithm ends in the CRC64NVME of its bytes', async () => {
  await using rig = await openS3Rig();
  const { client } = rig;
  const parts = [Buffer.alloc(5 * 1024 * 1024, 'x'), Buffer.from('y')];
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key: 'k' }));
  const Parts = [];
  for (const [at, Body] of parts.entries()) {
    const PartNumber = at + 1;
    const part = new UploadPartCommand({ Bucket, Key: 'k', UploadId, PartNumber, Body });
    Parts.push({ PartNumber, ETag: (await client.send(part)).ETag });
  }
  const MultipartUpload = { Parts };
  await client.send(new CompleteMultipartUploadCommand({ Bucket, Key: 'k', UploadId, MultipartUpload }));
  const head = await client.send(new HeadObjectCommand({ Bucket, Key: 'k', ChecksumMode: 'ENABLED' }));
  equal(head.ChecksumCRC64NVME, sum('CRC64NVME', Buffer.concat(parts)));
  equal(head.ChecksumType, 'FULL_OBJECT');
});

test('a part must bring the checksum that its upload was begun with', async () => {
  await using rig = await openS3Rig();
  const begin = new CreateMultipartUploadCommand({ Bucket, Key: 'k', ChecksumAlgorithm: 'SHA256' });
  const { UploadId } = await rig.client.send(begin);
  const part = { Bucket, Key: 'k', UploadId, PartNumber: 1, Body: 'x' };
  const crc = new UploadPartCommand({ ...part, ChecksumAlgorithm: 'CRC32' });
  deepEqual(await refusalOf(rig.client.send(crc)), { code: 'InvalidRequest', status: 400 });
  const right = new UploadPartCommand({ ...part, ChecksumAlgorithm: 'SHA256' });
  const { ETag } = await rig.client.send(right);
  const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] };
  const complete = new CompleteMultipartUploadCommand({ Bucket, Key: 'k', UploadId, MultipartUpload });
  deepEqual(await refusalOf(rig.client.send(complete)), { code: 'InvalidRequest', status: 400 });
});

test('a client that sends no checksum gets a CRC64NVME', async () => {
  await using rig = await openS3Rig();
  const bare = rig.clientWith({ requestChecksumCalculation: 'WHEN_REQUIRED' });
  const { ChecksumCRC64NVME } = await bare.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'hello' }));
  equal(ChecksumCRC64NVME, sum('CRC64NVME', Buffer.from('hello')));
});

/** S3 API Reference, "Signature Calculations: Transferring Payload in Multiple Chunks", its example. */
const seed = '4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9';
const chunkSignatures = [
  'ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648',
  '0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497',
  'b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9',
] as const;
/** The signing key of AKIAIOSFODNN7EXAMPLE for 20130524/us-east-1/s3. */
const key = Buffer.from('dbb893acc010964918f1fd433add87c70e8b0db6be30c1fbeafefa5ec6ba8378', 'hex');
const scope = '20130524/us-east-1/s3/aws4_request';
const signing: Signing = { key, time: '20130524T000000Z', scope, signature: seed };

const published = Buffer.concat([
  Buffer.from(`10000;chunk-signature=${chunkSignatures[0]}\r\n`),
  Buffer.alloc(65_536, 'a'),
  Buffer.from(`\r\n400;chunk-signature=${chunkSignatures[1]}\r\n`),
  Buffer.alloc(1024, 'a'),
  Buffer.from(`\r\n0;chunk-signature=${chunkSignatures[2]}\r\n\r\n`),
]);

async function decoded(
  body: Buffer,
  { pieceBytes, signed, trailer }: { pieceBytes: number; signed: Signing | null; trailer: boolean },
): Promise<{ readonly bytes: Buffer; readonly trailers: Map<string, string> }> {
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < body.length; at += pieceBytes) yield body.subarray(at, at + pieceBytes);
  }
  const trailers = new Map<string, string>();
  const parts: Uint8Array[] = [];
  for await (const part of unchunked(pieces(), { signing: signed, trailer, trailers })) parts.push(part);
  return { bytes: Buffer.concat(parts), trailers };
}

test("AWS's own example of a body in signed chunks is understood however it is cut", async () => {
  for (const pieceBytes of [1, 13, 4096, 1_000_000]) {
    const { bytes } = await decoded(published, { pieceBytes, signed: signing, trailer: false });
    equal(bytes.equals(Buffer.alloc(66_560, 'a')), true);
  }
});

/** "... Including Trailing Headers", its example: the same bytes, with a CRC32C behind. */
const seedOfTrailed = '106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e';
const trailed = Buffer.concat([
  Buffer.from('10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n'),
  Buffer.alloc(65_536, 'a'),
  Buffer.from('\r\n400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n'),
  Buffer.alloc(1024, 'a'),
  Buffer.from('\r\n0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n'),
  Buffer.from('x-amz-checksum-crc32c:sOO8/Q==\r\n'),
  Buffer.from(
    'x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n',
  ),
]);

test("AWS's own example of a signed trailer is understood, and a forged trailer is not", async () => {
  const plan = { pieceBytes: 1000, signed: { ...signing, signature: seedOfTrailed }, trailer: true };
  const { bytes, trailers } = await decoded(trailed, plan);
  deepEqual(trailers, new Map([['x-amz-checksum-crc32c', sum('CRC32C', bytes)]]));
  const forged = Buffer.from(trailed.toString('latin1').replace('sOO8/Q==', 'sOO8/A=='), 'latin1');
  await rejects(decoded(forged, plan), { code: 'SignatureDoesNotMatch' });
  const unsigned = Buffer.from(trailed.toString('latin1').replace(/x-amz-trailer-sig.*\r\n/, ''), 'latin1');
  await rejects(decoded(unsigned, plan), { code: 'SignatureDoesNotMatch' });
});

test('a chunk that was changed, or put in another place, is found out', async () => {
  const changed = Buffer.from(published);
  changed[1000] = 'b'.charCodeAt(0);
  const plan = { pieceBytes: 4096, signed: signing, trailer: false };
  await rejects(decoded(changed, plan), { code: 'SignatureDoesNotMatch', status: 403 });
  const other = { ...signing, signature: chunkSignatures[0] };
  await rejects(decoded(published, { ...plan, signed: other }), { code: 'SignatureDoesNotMatch' });
});

test('a body that ends early, or is framed wrongly, is refused', async () => {
  const plan = { pieceBytes: 100, signed: null, trailer: true };
  const good = '5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n';
  const { bytes, trailers } = await decoded(Buffer.from(good), plan);
  deepEqual([bytes.toString(), [...trailers]], ['hello', [['x-amz-checksum-crc32', 'NhCmhg==']]]);
  for (let end = 0; end < good.length - 1; end += 1)
    await rejects(decoded(Buffer.from(good.slice(0, end)), plan), { status: 400 }, `cut at ${end}`);
  for (const bad of [
    'z\r\n',
    '5\r\nhello!\r\n0\r\n\r\n',
    '-1\r\n',
    `${'0'.repeat(10_000)}\r\n`,
    '0\r\n:x\r\n\r\n',
  ])
    await rejects(decoded(Buffer.from(bad), plan), { status: 400 }, bad.slice(0, 20));
  const unannounced = decoded(Buffer.from(good), { ...plan, trailer: false });
  await rejects(unannounced, { status: 400 });
});

test('how a body comes is one of five ways, or refused', () => {
  deepEqual(payloadForm('UNSIGNED-PAYLOAD'), { type: 'plain', sha256: null });
  deepEqual(payloadForm(seed), { type: 'plain', sha256: seed });
  deepEqual(payloadForm('STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER'), {
    type: 'chunked',
    signed: true,
    trailer: true,
  });
  for (const bad of ['', 'undefined', 'STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD', seed.toUpperCase()])
    try {
      payloadForm(bad);
      throw new Error(`${bad} was taken`);
    } catch (error) {
      equal((error as { code?: string }).code, 'InvalidArgument');
    }
});
