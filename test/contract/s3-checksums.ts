import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  UploadPartCommand,
  type ChecksumAlgorithm,
  type PutObjectCommandInput,
} from '@aws-sdk/client-s3';
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { outcome, type Clients, type Exchange } from './exchange.ts';
import { withBucket } from './s3-buckets.ts';

const Key = 'k';
/** Of `hello`, by Python's zlib and hashlib; CRC-32C and CRC-64/NVME by the catalogue of parametrised CRCs. */
const ofHello = {
  ChecksumCRC32: 'NhCmhg==',
  ChecksumCRC32C: 'mnG7TA==',
  ChecksumCRC64NVME: 'M3eFcAZSQlc=',
  ChecksumSHA1: 'qvTGHdzF6KLavt4PO0gs2a6pQ00=',
  ChecksumSHA256: 'LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=',
} as const;
const names = Object.keys(ofHello) as (keyof typeof ofHello)[];
const algorithmOf = (name: keyof typeof ofHello): ChecksumAlgorithm =>
  name.slice('Checksum'.length) as ChecksumAlgorithm;

const sha1 = (bytes: Buffer): Buffer => createHash('sha1').update(bytes).digest();

const putWith = (of: Clients, Bucket: string, more: Partial<PutObjectCommandInput>): Promise<unknown> =>
  outcome(of.s3.send(new PutObjectCommand({ Bucket, Key, Body: 'hello', ...more })), (answer) =>
    names.filter((name) => answer[name] !== undefined).map((name) => answer[name]),
  );

export const s3Checksums: readonly Exchange[] = [
  ...names.map((name): Exchange => ({
    title: `a ${algorithmOf(name)} that the client computes is kept and shown again`,
    act: withBucket(async (of, Bucket) => {
      const put = await putWith(of, Bucket, { ChecksumAlgorithm: algorithmOf(name) });
      const head = await of.s3.send(new HeadObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED' }));
      return { put, head: head[name] };
    }),
    expected: { put: [ofHello[name]], head: ofHello[name] },
  })),
  ...names.map((name): Exchange => ({
    title: `a ${algorithmOf(name)} that does not fit the bytes is refused`,
    act: withBucket(async (of, Bucket) => {
      const wrong = Buffer.from(ofHello[name], 'base64');
      wrong[0]! ^= 1;
      return putWith(of, Bucket, { [name]: wrong.toString('base64') });
    }),
    expected: { refused: 'BadDigest', status: 400 },
  })),
  {
    title: 'an MD5 that does not fit the bytes is refused',
    act: withBucket((of, Bucket) => putWith(of, Bucket, { ContentMD5: 'AAAAAAAAAAAAAAAAAAAAAA==' })),
    expected: { refused: 'BadDigest', status: 400 },
  },
  {
    title: 'a stream is sent in chunks with its checksum behind, and stored without them',
    act: withBucket(async (of, Bucket) => {
      const bytes = Buffer.alloc(300_000, 'stream ');
      const Body = Readable.from([bytes.subarray(0, 100_000), bytes.subarray(100_000)]);
      const ContentLength = bytes.length;
      await of.s3.send(
        new PutObjectCommand({ Bucket, Key, Body, ContentLength, ChecksumAlgorithm: 'CRC32' }),
      );
      const got = await of.s3.send(new GetObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED' }));
      const back = Buffer.from(await got.Body!.transformToByteArray());
      return [
        got.ContentLength,
        back.equals(bytes),
        got.ChecksumCRC32 !== undefined,
        got.ContentEncoding ?? '',
      ];
    }),
    expected: [300_000, true, true, ''],
  },
  {
    title: 'the checksum of parts is the checksum of their checksums',
    act: withBucket(async (of, Bucket) => {
      const parts = [Buffer.alloc(5 * 1024 * 1024, 'a'), Buffer.from('b')];
      const begun = new CreateMultipartUploadCommand({ Bucket, Key, ChecksumAlgorithm: 'SHA1' });
      const { UploadId } = await of.s3.send(begun);
      const Parts = [];
      for (const [at, Body] of parts.entries()) {
        const part = { Bucket, Key, UploadId: UploadId!, PartNumber: at + 1, Body } as const;
        const { ETag, ChecksumSHA1 } = await of.s3.send(
          new UploadPartCommand({ ...part, ChecksumAlgorithm: 'SHA1' }),
        );
        Parts.push({ PartNumber: at + 1, ETag: ETag!, ChecksumSHA1: ChecksumSHA1! });
      }
      const MultipartUpload = { Parts };
      await of.s3.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload }));
      const head = await of.s3.send(new HeadObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED' }));
      return [Parts.map(({ ChecksumSHA1 }) => ChecksumSHA1), head.ChecksumSHA1, head.ChecksumType];
    }),
    expected: [
      [
        sha1(Buffer.alloc(5 * 1024 * 1024, 'a')).toString('base64'),
        sha1(Buffer.from('b')).toString('base64'),
      ],
      `${sha1(Buffer.concat([sha1(Buffer.alloc(5 * 1024 * 1024, 'a')), sha1(Buffer.from('b'))])).toString('base64')}-2`,
      'COMPOSITE',
    ],
  },
];
