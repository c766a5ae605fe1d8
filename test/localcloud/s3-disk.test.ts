/** What is on disk: after a restart, after a crash, while somebody reads, and after somebody left in the middle. */
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetBucketLifecycleConfigurationCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutBucketLifecycleConfigurationCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { deepEqual, equal } from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough, type Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { Bucket, eventually, openS3Rig, refusalOf } from './s3-rig.ts';

test('objects, metadata, rules and unfinished uploads survive a restart', async () => {
  await using rig = await openS3Rig();
  const { client } = rig;
  const Metadata = { step: '7' };
  await client.send(new PutObjectCommand({ Bucket, Key: 'a/ü', Body: 'bytes', Metadata }));
  const Rules = [{ ID: 'r', Status: 'Enabled', Filter: { Prefix: 'a/' }, Expiration: { Days: 1 } } as const];
  const LifecycleConfiguration = { Rules };
  await client.send(new PutBucketLifecycleConfigurationCommand({ Bucket, LifecycleConfiguration }));
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key: 'b' }));
  const part = { Bucket, Key: 'b', UploadId, PartNumber: 1, Body: 'part' };
  const { ETag } = await client.send(new UploadPartCommand(part));

  await rig.restart();

  const got = await client.send(new GetObjectCommand({ Bucket, Key: 'a/ü', ChecksumMode: 'ENABLED' }));
  equal(await got.Body!.transformToString(), 'bytes');
  deepEqual([got.Metadata, typeof got.ChecksumCRC32], [Metadata, 'string']);
  deepEqual((await client.send(new GetBucketLifecycleConfigurationCommand({ Bucket }))).Rules, Rules);
  const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] };
  await client.send(new CompleteMultipartUploadCommand({ Bucket, Key: 'b', UploadId, MultipartUpload }));
  const { Contents } = await client.send(new ListObjectsV2Command({ Bucket }));
  deepEqual(
    Contents?.map(({ Key }) => Key),
    ['a/ü', 'b'],
  );
});

test('what a killed emulator left half done is gone after the next start', async () => {
  await using rig = await openS3Rig();
  await rig.client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'kept' }));
  await writeFile(join(rig.dir, 'unfinished', 'half'), 'hal');
  await writeFile(join(rig.dir, 'blobs', 'orphan'), 'nobody names me');
  await rig.restart();
  deepEqual([await rig.files('unfinished'), await rig.files('blobs')], [0, 1]);
  const { Body } = await rig.client.send(new GetObjectCommand({ Bucket, Key: 'k' }));
  equal(await Body!.transformToString(), 'kept');
});

test('a reader gets the object that it asked for, though it is replaced and deleted meanwhile', async () => {
  await using rig = await openS3Rig();
  const { client } = rig;
  const bytes = randomBytes(24 * 1024 * 1024); // more than every buffer on the way holds
  await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: bytes }));
  const { Body } = await client.send(new GetObjectCommand({ Bucket, Key: 'k' }));
  await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'other' }));
  await client.send(new DeleteObjectCommand({ Bucket, Key: 'k' }));
  equal((await buffer(Body as Readable)).equals(bytes), true);
  await eventually(async () => (await rig.files('blobs')) === 0);
});

test('the bytes of a reader that leaves in the middle are let go', async () => {
  await using rig = await openS3Rig();
  const { client } = rig;
  await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: randomBytes(24 * 1024 * 1024) }));
  const { Body } = await client.send(new GetObjectCommand({ Bucket, Key: 'k' }));
  await client.send(new DeleteObjectCommand({ Bucket, Key: 'k' }));
  equal(await rig.files('blobs'), 1);
  (Body as Readable).destroy();
  await eventually(async () => (await rig.files('blobs')) === 0);
  deepEqual(rig.reported, []);
});

test('an upload whose client dies leaves nothing, and what was there stays', async () => {
  await using rig = await openS3Rig();
  await rig.client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'old' }));
  const dying = rig.clientWith({});
  const Body = new PassThrough();
  Body.write(Buffer.alloc(100_000));
  const put = dying.send(new PutObjectCommand({ Bucket, Key: 'k', Body, ContentLength: 1_000_000 }));
  const failed = refusalOf(put);
  await eventually(async () => (await rig.files('unfinished')) === 1);
  dying.destroy();
  await failed;
  await eventually(async () => (await rig.files('unfinished')) === 0);
  const { ContentLength } = await rig.client.send(new HeadObjectCommand({ Bucket, Key: 'k' }));
  deepEqual([ContentLength, await rig.files('blobs'), rig.reported], [3, 1, []]);
});

test('a body that is refused by its head is never asked for', async () => {
  await using rig = await openS3Rig();
  await rig.client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'first' }));
  const plain = rig.clientWith({ requestChecksumCalculation: 'WHEN_REQUIRED' });
  const ContentLength = 4 * 1024 * 1024; // above 2 MiB the SDK asks before it sends
  const Body = new PassThrough();
  let sent = 0;
  Body.on('resume', () => (sent += 1));
  Body.write(Buffer.alloc(1024));
  const put = new PutObjectCommand({ Bucket, Key: 'k', Body, ContentLength, IfNoneMatch: '*' });
  deepEqual(await refusalOf(plain.send(put)), { code: 'PreconditionFailed', status: 412 });
  equal(sent, 0);
  Body.destroy();
});

test('a body that is asked for arrives whole', async () => {
  await using rig = await openS3Rig();
  const Body = randomBytes(6 * 1024 * 1024);
  await rig.client.send(new PutObjectCommand({ Bucket, Key: 'k', Body }));
  const got = await rig.client.send(new GetObjectCommand({ Bucket, Key: 'k' }));
  equal((await buffer(got.Body as Readable)).equals(Body), true);
});
