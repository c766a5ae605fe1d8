import {
  CopyObjectCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type GetObjectCommandInput,
  type PutObjectCommandInput,
} from '@aws-sdk/client-s3';
import { outcome, status, type Clients, type Exchange } from './exchange.ts';
import { withBucket } from './s3-buckets.ts';

const hello = '5d41402abc4b2a76b9719d911017c592';
const world = '7d793037a0760186574b0282f2f435e7';

const put = (
  of: Clients,
  Bucket: string,
  Body: string,
  more: Partial<PutObjectCommandInput> = {},
): Promise<unknown> =>
  outcome(of.s3.send(new PutObjectCommand({ Bucket, Key: 'k', Body, ...more })), ({ ETag }) => ETag);

const read = (of: Clients, Bucket: string, more: Partial<GetObjectCommandInput> = {}): Promise<unknown> =>
  outcome(of.s3.send(new GetObjectCommand({ Bucket, Key: 'k', ...more })), async (answer) => {
    const { ContentRange, ContentLength } = answer;
    return [status(answer), await answer.Body!.transformToString(), ContentLength, ContentRange ?? null];
  });

const remove = (of: Clients, Bucket: string, IfMatch?: string): Promise<unknown> =>
  outcome(
    of.s3.send(new DeleteObjectCommand({ Bucket, Key: 'k', ...(IfMatch === undefined ? {} : { IfMatch }) })),
    status,
  );

const copy = (
  of: Clients,
  Bucket: string,
  more: { CopySourceIfMatch?: string; IfNoneMatch?: string },
): Promise<unknown> =>
  outcome(
    of.s3.send(new CopyObjectCommand({ Bucket, Key: 'copy', CopySource: `${Bucket}/k`, ...more })),
    status,
  );

const unmet = { refused: 'PreconditionFailed', status: 412 };
const noSuchKey = { refused: 'NoSuchKey', status: 404 };

export const s3Objects: readonly Exchange[] = [
  {
    title: 'an object comes back with its bytes, type, metadata and the MD5 of its bytes as tag',
    act: withBucket(async ({ s3 }, Bucket) => {
      const Metadata = { owner: 'i-1', 'two-words': 'a b' };
      const ContentType = 'text/plain';
      await s3.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'hello', Metadata, ContentType }));
      const answer = await s3.send(new GetObjectCommand({ Bucket, Key: 'k' }));
      const head = await s3.send(new HeadObjectCommand({ Bucket, Key: 'k' }));
      return {
        body: await answer.Body!.transformToString(),
        got: [answer.ETag, answer.ContentType, answer.ContentLength, answer.Metadata],
        head: [head.ETag, head.ContentType, head.ContentLength, head.Metadata],
      };
    }),
    expected: {
      body: 'hello',
      got: [`"${hello}"`, 'text/plain', 5, { owner: 'i-1', 'two-words': 'a b' }],
      head: [`"${hello}"`, 'text/plain', 5, { owner: 'i-1', 'two-words': 'a b' }],
    },
  },
  {
    title: 'an empty object is an object',
    act: withBucket(async (of, name) => [await put(of, name, ''), await read(of, name)]),
    expected: ['"d41d8cd98f00b204e9800998ecf8427e"', [200, '', 0, null]],
  },
  {
    title: 'a range is served as 206 with its place in the whole, and beyond the end as 416',
    act: withBucket(async (of, name) => {
      await put(of, name, '0123456789');
      const ranges = ['bytes=2-4', 'bytes=7-', 'bytes=-3', 'bytes=8-100', 'bytes=10-'];
      return Promise.all(ranges.map((Range) => read(of, name, { Range })));
    }),
    expected: [
      [206, '234', 3, 'bytes 2-4/10'],
      [206, '789', 3, 'bytes 7-9/10'],
      [206, '789', 3, 'bytes 7-9/10'],
      [206, '89', 2, 'bytes 8-9/10'],
      { refused: 'InvalidRange', status: 416 },
    ],
  },
  {
    title: 'a key that is not there is missing to a reader and no matter to a deleter',
    act: withBucket(async (of, name) => [
      await read(of, name),
      await outcome(of.s3.send(new HeadObjectCommand({ Bucket: name, Key: 'k' })), status),
      await remove(of, name),
    ]),
    expected: [noSuchKey, { refused: 'NotFound', status: 404 }, 204],
  },
  {
    title: 'If-None-Match: * lets the first writer in and no other',
    act: withBucket(async (of, name) => [
      await put(of, name, 'hello', { IfNoneMatch: '*' }),
      await put(of, name, 'world', { IfNoneMatch: '*' }),
      await read(of, name),
    ]),
    expected: [`"${hello}"`, unmet, [200, 'hello', 5, null]],
  },
  {
    title: 'If-Match lets a writer in who knows what is there',
    act: withBucket(async (of, name) => [
      await put(of, name, 'world', { IfMatch: `"${hello}"` }),
      await put(of, name, 'hello'),
      await put(of, name, 'world', { IfMatch: `"${world}"` }),
      await put(of, name, 'world', { IfMatch: `"${hello}"` }),
    ]),
    expected: [noSuchKey, `"${hello}"`, unmet, `"${world}"`],
  },
  {
    title: 'a conditional read is answered 304 or 412 when its condition is not met',
    act: withBucket(async (of, name) => {
      await put(of, name, 'hello');
      return [
        await read(of, name, { IfMatch: `"${hello}"` }),
        await read(of, name, { IfMatch: `"${world}"` }),
        await read(of, name, { IfNoneMatch: `"${world}"` }),
        ((await read(of, name, { IfNoneMatch: `"${hello}"` })) as { status: number }).status,
        ((await read(of, name, { IfModifiedSince: new Date(Date.now() + 1000) })) as { status: number })
          .status,
        await read(of, name, { IfUnmodifiedSince: new Date(0) }),
      ];
    }),
    expected: [[200, 'hello', 5, null], unmet, [200, 'hello', 5, null], 304, 304, unmet],
  },
  {
    title: 'a conditional delete removes only what its author knows',
    act: withBucket(async (of, name) => {
      await put(of, name, 'hello');
      return [
        await remove(of, name, `"${world}"`),
        await remove(of, name, `"${hello}"`),
        await remove(of, name, `"${hello}"`),
      ];
    }),
    expected: [unmet, 204, noSuchKey],
  },
  {
    title: 'many objects are deleted at once, and those that are not there count as deleted',
    act: withBucket(async ({ s3 }, Bucket) => {
      await s3.send(new PutObjectCommand({ Bucket, Key: 'a', Body: '1' }));
      const Objects = [{ Key: 'a' }, { Key: 'never' }];
      const answer = await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
      return [answer.Deleted?.map(({ Key }) => Key).sort(), answer.Errors ?? []];
    }),
    expected: [['a', 'never'], []],
  },
  {
    title: 'a quiet deletion of many names only what went wrong',
    act: withBucket(async ({ s3 }, Bucket) => {
      await s3.send(new PutObjectCommand({ Bucket, Key: 'a', Body: '1' }));
      const Delete = { Objects: [{ Key: 'a' }], Quiet: true };
      const answer = await s3.send(new DeleteObjectsCommand({ Bucket, Delete }));
      return [answer.Deleted ?? [], answer.Errors ?? []];
    }),
    expected: [[], []],
  },
  {
    title: 'a copy keeps metadata unless told to replace it',
    act: withBucket(async ({ s3 }, Bucket) => {
      const Metadata = { of: 'k' };
      await s3.send(new PutObjectCommand({ Bucket, Key: 'a b/ü', Body: 'hello', Metadata }));
      const CopySource = `${Bucket}/${encodeURIComponent('a b/ü')}`;
      const copy = await s3.send(new CopyObjectCommand({ Bucket, Key: 'kept', CopySource }));
      const replace = { MetadataDirective: 'REPLACE', Metadata: { of: 'c' } } as const;
      await s3.send(new CopyObjectCommand({ Bucket, Key: 'replaced', CopySource, ...replace }));
      const kept = await s3.send(new HeadObjectCommand({ Bucket, Key: 'kept' }));
      const replaced = await s3.send(new HeadObjectCommand({ Bucket, Key: 'replaced' }));
      return [copy.CopyObjectResult?.ETag, kept.Metadata, replaced.Metadata, replaced.ETag];
    }),
    expected: [`"${hello}"`, { of: 'k' }, { of: 'c' }, `"${hello}"`],
  },
  {
    title: 'what is not there cannot be copied, and what has changed is not copied on condition',
    act: withBucket(async (of, Bucket) => {
      const missing = await copy(of, Bucket, {});
      await put(of, Bucket, 'hello');
      const changed = await copy(of, Bucket, { CopySourceIfMatch: `"${world}"` });
      return [missing, changed, await copy(of, Bucket, { CopySourceIfMatch: `"${hello}"` })];
    }),
    expected: [noSuchKey, unmet, 200],
  },
  {
    title: 'a copy may insist on being the first with its key',
    act: withBucket(async (of, Bucket) => {
      await put(of, Bucket, 'hello');
      const first = await copy(of, Bucket, { IfNoneMatch: '*' });
      return [first, await copy(of, Bucket, { IfNoneMatch: '*' })];
    }),
    expected: [200, unmet],
  },
  {
    title: 'a copy onto itself must change something',
    act: withBucket(async (of, Bucket) => {
      await put(of, Bucket, 'hello');
      return outcome(
        of.s3.send(new CopyObjectCommand({ Bucket, Key: 'k', CopySource: `${Bucket}/k` })),
        status,
      );
    }),
    expected: { refused: 'InvalidRequest', status: 400 },
  },
  {
    title: 'a key may hold anything',
    act: withBucket(async ({ s3 }, Bucket) => {
      const keys = ['a b', 'a+b', 'a%20b', 'ü/日本', 'quote\'"<&>', 'a//b/', '/leading', '~(x)!*'];
      return Promise.all(
        keys.map(async (Key) => {
          await s3.send(new PutObjectCommand({ Bucket, Key, Body: Key }));
          const answer = await s3.send(new GetObjectCommand({ Bucket, Key }));
          return answer.Body!.transformToString();
        }),
      );
    }),
    expected: ['a b', 'a+b', 'a%20b', 'ü/日本', 'quote\'"<&>', 'a//b/', '/leading', '~(x)!*'],
  },
  {
    title: 'a signature made with the wrong secret is refused',
    act: withBucket(async ({ forger }, Bucket) =>
      outcome(forger.send(new GetObjectCommand({ Bucket, Key: 'k' })), status),
    ),
    expected: { refused: 'SignatureDoesNotMatch', status: 403 },
  },
];
