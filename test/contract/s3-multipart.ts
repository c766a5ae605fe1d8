import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  PutObjectCommand,
  UploadPartCommand,
  UploadPartCopyCommand,
  type CompletedPart,
} from '@aws-sdk/client-s3';
import { createHash } from 'node:crypto';
import { outcome, status, type Clients, type Exchange } from './exchange.ts';
import { withBucket } from './s3-buckets.ts';

const Key = 'folder/upload';
/** The smallest part that may be followed by another. */
const first = Buffer.alloc(5 * 1024 * 1024, 'first part, ');
const second = Buffer.from('and the rest');
const md5 = (bytes: Buffer): Buffer => createHash('md5').update(bytes).digest();
const etag = (bytes: Buffer): string => `"${md5(bytes).toString('hex')}"`;
const etagOfBoth = `"${md5(Buffer.concat([md5(first), md5(second)])).toString('hex')}-2"`;

const begin = async ({ s3 }: Clients, Bucket: string): Promise<string> =>
  (await s3.send(new CreateMultipartUploadCommand({ Bucket, Key }))).UploadId!;

async function upload(
  { s3 }: Clients,
  Bucket: string,
  UploadId: string,
  bodies: readonly Buffer[],
): Promise<CompletedPart[]> {
  const parts: CompletedPart[] = [];
  for (const [at, Body] of bodies.entries()) {
    const PartNumber = at + 1;
    const { ETag } = await s3.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body }));
    parts.push({ PartNumber, ETag: ETag! });
  }
  return parts;
}

const complete = (
  { s3 }: Clients,
  Bucket: string,
  UploadId: string,
  { Parts, IfNoneMatch }: { readonly Parts: CompletedPart[]; readonly IfNoneMatch?: string },
): Promise<unknown> =>
  outcome(
    s3.send(
      new CompleteMultipartUploadCommand({
        Bucket,
        Key,
        UploadId,
        MultipartUpload: { Parts },
        ...(IfNoneMatch === undefined ? {} : { IfNoneMatch }),
      }),
    ),
    ({ ETag }) => ETag,
  );

const noSuchUpload = { refused: 'NoSuchUpload', status: 404 };

export const s3Multipart: readonly Exchange[] = [
  {
    title: 'an object is uploaded in parts, which are listed until it is complete',
    act: withBucket(async (of, Bucket) => {
      const id = await begin(of, Bucket);
      const Parts = await upload(of, Bucket, id, [first, second]);
      const listed = await of.s3.send(new ListPartsCommand({ Bucket, Key, UploadId: id }));
      const uploads = await of.s3.send(new ListMultipartUploadsCommand({ Bucket }));
      const completed = await complete(of, Bucket, id, { Parts });
      const after = await of.s3.send(new ListMultipartUploadsCommand({ Bucket }));
      const head = await of.s3.send(new HeadObjectCommand({ Bucket, Key }));
      return {
        parts: listed.Parts?.map(({ PartNumber, Size, ETag }) => [PartNumber, Size, ETag]),
        uploads: uploads.Uploads?.map((one) => [one.Key, one.UploadId === id]),
        completed,
        after: after.Uploads ?? [],
        head: [head.ETag, head.ContentLength],
      };
    }),
    expected: {
      parts: [
        [1, first.length, etag(first)],
        [2, second.length, etag(second)],
      ],
      uploads: [[Key, true]],
      completed: etagOfBoth,
      after: [],
      head: [etagOfBoth, first.length + second.length],
    },
  },
  {
    title: 'a range may begin in one part and end in another',
    act: withBucket(async (of, Bucket) => {
      const id = await begin(of, Bucket);
      await complete(of, Bucket, id, { Parts: await upload(of, Bucket, id, [first, second]) });
      const Range = `bytes=${first.length - 3}-${first.length + 6}`;
      const answer = await of.s3.send(new GetObjectCommand({ Bucket, Key, Range }));
      return answer.Body!.transformToString();
    }),
    expected: first.subarray(-3).toString() + second.subarray(0, 7).toString(),
  },
  {
    title: 'a part is replaced by another of its number, and parts left out are no part of the object',
    act: withBucket(async (of, Bucket) => {
      const id = await begin(of, Bucket);
      await upload(of, Bucket, id, [Buffer.from('old'), Buffer.from('unused')]);
      const [again] = await upload(of, Bucket, id, [Buffer.from('new')]);
      await complete(of, Bucket, id, { Parts: [again!] });
      const answer = await of.s3.send(new GetObjectCommand({ Bucket, Key }));
      return answer.Body!.transformToString();
    }),
    expected: 'new',
  },
  {
    title: 'a part may be a range of another object',
    act: withBucket(async (of, Bucket) => {
      await of.s3.send(new PutObjectCommand({ Bucket, Key: 'source', Body: '0123456789' }));
      const UploadId = await begin(of, Bucket);
      const copy = { Bucket, Key, UploadId, PartNumber: 1, CopySource: `${Bucket}/source` };
      const part = await of.s3.send(new UploadPartCopyCommand({ ...copy, CopySourceRange: 'bytes=2-5' }));
      const ETag = part.CopyPartResult!.ETag!;
      await complete(of, Bucket, UploadId, { Parts: [{ PartNumber: 1, ETag }] });
      const answer = await of.s3.send(new GetObjectCommand({ Bucket, Key }));
      return [ETag === etag(Buffer.from('2345')), await answer.Body!.transformToString()];
    }),
    expected: [true, '2345'],
  },
  {
    title: 'every part but the last has 5 MiB',
    act: withBucket(async (of, Bucket) => {
      const id = await begin(of, Bucket);
      return complete(of, Bucket, id, { Parts: await upload(of, Bucket, id, [second, second]) });
    }),
    expected: { refused: 'EntityTooSmall', status: 400 },
  },
  {
    title: 'a completion names parts that exist, by their tags, in order',
    act: withBucket(async (of, Bucket) => {
      const id = await begin(of, Bucket);
      const other = Buffer.alloc(first.length, 'other');
      const [one, two] = (await upload(of, Bucket, id, [first, other])) as [CompletedPart, CompletedPart];
      return [
        await complete(of, Bucket, id, { Parts: [{ ...one, ETag: two.ETag! }, two] }),
        await complete(of, Bucket, id, { Parts: [one, { PartNumber: 3, ETag: two.ETag! }] }),
        await complete(of, Bucket, id, { Parts: [two, one] }),
      ];
    }),
    expected: [
      { refused: 'InvalidPart', status: 400 },
      { refused: 'InvalidPart', status: 400 },
      { refused: 'InvalidPartOrder', status: 400 },
    ],
  },
  {
    title: 'an upload that could not be completed can still be',
    act: withBucket(async (of, Bucket) => {
      const id = await begin(of, Bucket);
      const Parts = await upload(of, Bucket, id, [first, second]);
      await complete(of, Bucket, id, { Parts: [{ ...Parts[0]!, ETag: Parts[1]!.ETag! }] });
      return complete(of, Bucket, id, { Parts });
    }),
    expected: etagOfBoth,
  },
  {
    title: 'a part has a number from 1 to 10,000',
    act: withBucket(async (of, Bucket) => {
      const UploadId = await begin(of, Bucket);
      const part = { Bucket, Key, UploadId, PartNumber: 10_001, Body: 'x' };
      return outcome(of.s3.send(new UploadPartCommand(part)), status);
    }),
    expected: { refused: 'InvalidArgument', status: 400 },
  },
  {
    title: 'an aborted upload is gone',
    act: withBucket(async (of, Bucket) => {
      const UploadId = await begin(of, Bucket);
      await upload(of, Bucket, UploadId, [second]);
      const abort = (): Promise<unknown> =>
        outcome(of.s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId })), status);
      const list = new ListPartsCommand({ Bucket, Key, UploadId });
      return [await abort(), await outcome(of.s3.send(list), status), await abort()];
    }),
    expected: [204, noSuchUpload, noSuchUpload],
  },
  {
    title: 'nothing is added to an upload that is gone, nor made of it',
    act: withBucket(async (of, Bucket) => {
      const UploadId = await begin(of, Bucket);
      const Parts = await upload(of, Bucket, UploadId, [second]);
      await of.s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
      const part = new UploadPartCommand({ Bucket, Key, UploadId, PartNumber: 1, Body: 'x' });
      return [await outcome(of.s3.send(part), status), await complete(of, Bucket, UploadId, { Parts })];
    }),
    expected: [noSuchUpload, noSuchUpload],
  },
  {
    title: 'a completion may insist on being the first with its key',
    act: withBucket(async (of, Bucket) => {
      const id = await begin(of, Bucket);
      const Parts = await upload(of, Bucket, id, [second]);
      await of.s3.send(new PutObjectCommand({ Bucket, Key, Body: 'earlier' }));
      return complete(of, Bucket, id, { Parts, IfNoneMatch: '*' });
    }),
    expected: { refused: 'PreconditionFailed', status: 412 },
  },
  {
    title: 'a completion that is repeated is answered like the first',
    act: withBucket(async (of, Bucket) => {
      const id = await begin(of, Bucket);
      const Parts = await upload(of, Bucket, id, [first, second]);
      return [await complete(of, Bucket, id, { Parts }), await complete(of, Bucket, id, { Parts })];
    }),
    expected: [etagOfBoth, etagOfBoth],
  },
];
