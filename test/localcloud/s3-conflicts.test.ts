/** Conditional writes that meet one another, which a single client in sequence never sees. */
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  PutObjectCommand,
  UploadPartCommand,
  type PutObjectCommandInput,
} from '@aws-sdk/client-s3';
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import type { Call } from '../../src/localcloud/wire/call.ts';
import { Bucket, eventually, openS3Rig, refusalOf, type S3Rig } from './s3-rig.ts';

const Key = 'claims/1';
const conflict = { code: 'ConditionalRequestConflict', status: 409 };

type SlowPut = { finish(): void; readonly done: Promise<unknown> };

/** A put that has begun, and whose last byte has not been sent yet. */
async function slowPut(rig: S3Rig, condition: Partial<PutObjectCommandInput>): Promise<SlowPut> {
  const before = rig.begun.length;
  const Body = new PassThrough();
  Body.write('12345');
  const put = new PutObjectCommand({ Bucket, Key, Body, ContentLength: 10, ...condition });
  const done = rig.client.send(put);
  done.catch(() => undefined); // whoever awaits `done` hears of it; until then it is not unhandled
  await eventually(() => rig.begun.length > before);
  return { done, finish: () => void Body.end('67890') };
}

/** A call that never was on a wire, whose body ends when the test says so. */
function slowly(body: string): { readonly call: Call; finish(): void } {
  let finish = (): void => {};
  const finished = new Promise<void>((resolve) => (finish = resolve));
  async function* bytes(): AsyncGenerator<Uint8Array> {
    await finished;
    yield Buffer.from(body);
  }
  const call: Call = {
    requestId: '1',
    caller: { accessKeyId: 'AKIA', instanceId: null },
    signing: { key: Buffer.alloc(0), time: '', scope: '', signature: '' },
    method: 'GET',
    path: '/',
    query: new URLSearchParams(),
    headers: {},
    text: '',
    body: bytes(),
    signal: new AbortController().signal,
  };
  return { call, finish };
}

async function text(rig: S3Rig): Promise<string> {
  const { Body } = await rig.client.send(new GetObjectCommand({ Bucket, Key }));
  return Body!.transformToString();
}

test('of two first writers that overlap, the one that ends first wins and the other is told to retry', async () => {
  await using rig = await openS3Rig();
  const one = await slowPut(rig, { IfNoneMatch: '*' });
  const two = await slowPut(rig, { IfNoneMatch: '*' });
  two.finish();
  await two.done;
  one.finish();
  deepEqual(await refusalOf(one.done), conflict);
  equal(await text(rig), '1234567890');
  equal(await rig.files('blobs'), 1, 'the bytes of the loser are gone');
});

test('a writer that finds the key changed under its hands is told to retry', async () => {
  await using rig = await openS3Rig();
  const { ETag } = await rig.client.send(new PutObjectCommand({ Bucket, Key, Body: 'old' }));
  const slow = await slowPut(rig, { IfMatch: ETag });
  await rig.client.send(new PutObjectCommand({ Bucket, Key, Body: 'new' }));
  slow.finish();
  deepEqual(await refusalOf(slow.done), conflict);
  equal(await text(rig), 'new');
});

test('a delete that comes first is a conflict too', async () => {
  await using rig = await openS3Rig();
  const { ETag } = await rig.client.send(new PutObjectCommand({ Bucket, Key, Body: 'old' }));
  const slow = await slowPut(rig, { IfMatch: ETag });
  await rig.client.send(new DeleteObjectCommand({ Bucket, Key }));
  slow.finish();
  deepEqual(await refusalOf(slow.done), conflict);
});

test('a writer without a condition never conflicts', async () => {
  await using rig = await openS3Rig();
  const slow = await slowPut(rig, {});
  await rig.client.send(new PutObjectCommand({ Bucket, Key, Body: 'quick' }));
  slow.finish();
  await slow.done;
  equal(await text(rig), '1234567890');
});

test('of forty that claim one key at once, exactly one has it', async () => {
  await using rig = await openS3Rig();
  const claims = Array.from({ length: 40 }, (_, at) =>
    rig.client.send(new PutObjectCommand({ Bucket, Key, Body: `claim ${at}`, IfNoneMatch: '*' })).then(
      () => at,
      (error: { $metadata: { httpStatusCode: number } }) => {
        ok([409, 412].includes(error.$metadata.httpStatusCode));
        return null;
      },
    ),
  );
  const winners = (await Promise.all(claims)).filter((at) => at !== null);
  equal(winners.length, 1);
  equal(await text(rig), `claim ${winners[0]}`);
  equal(await rig.files('blobs'), 1);
});

test('a completion that meets a competitor is a conflict, and its upload is gone', async () => {
  await using rig = await openS3Rig();
  const { UploadId } = await rig.client.send(new CreateMultipartUploadCommand({ Bucket, Key }));
  const part = { Bucket, Key, UploadId, PartNumber: 1 };
  const { ETag } = await rig.client.send(new UploadPartCommand({ ...part, Body: 'part' }));
  const list = `<CompleteMultipartUpload><Part><ETag>${ETag}</ETag><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>`;
  const completing = slowly(list);
  const done = rig.s3().answer({
    ...completing.call,
    method: 'POST',
    path: `/${Bucket}/${Key}`,
    query: new URLSearchParams({ uploadId: UploadId! }),
    headers: { 'if-none-match': '*' },
  });
  await rig.client.send(new PutObjectCommand({ Bucket, Key, Body: 'put' }));
  completing.finish();
  await rejects(done, { status: 409, code: 'ConditionalRequestConflict' });
  equal(await text(rig), 'put');
  const again = new UploadPartCommand({ ...part, Body: 'again' });
  deepEqual(await refusalOf(rig.client.send(again)), { code: 'NoSuchUpload', status: 404 });
});

test('a conflict can be ordered, for a client that must be shown one', async () => {
  await using rig = await openS3Rig();
  rig.faults.push({ delayMs: 0, fail: 409 });
  const put = new PutObjectCommand({ Bucket, Key, Body: 'x', IfNoneMatch: '*' });
  deepEqual(await refusalOf(rig.client.send(put)), conflict);
  await rig.client.send(put);
});

test('an upload that is completed and aborted at once is one or the other', async () => {
  await using rig = await openS3Rig();
  for (let round = 0; round < 10; round += 1) {
    const Key = `either/${round}`;
    const { UploadId } = await rig.client.send(new CreateMultipartUploadCommand({ Bucket, Key }));
    const part = { Bucket, Key, UploadId, PartNumber: 1 };
    const { ETag } = await rig.client.send(new UploadPartCommand({ ...part, Body: 'part' }));
    const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] };
    const [completed, aborted] = await Promise.allSettled([
      rig.client.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload })),
      rig.client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId })),
    ]);
    const read = await rig.client.send(new GetObjectCommand({ Bucket, Key })).then(
      ({ Body }) => Body!.transformToString(),
      () => null,
    );
    equal(read, completed.status === 'fulfilled' ? 'part' : null);
    ok(completed.status === 'fulfilled' || aborted.status === 'fulfilled');
  }
});
