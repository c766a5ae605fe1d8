import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteBucketLifecycleCommand,
  GetBucketLifecycleConfigurationCommand,
  GetObjectCommand,
  HeadBucketCommand,
  ListBucketsCommand,
  ListObjectsV2Command,
  PutBucketLifecycleConfigurationCommand,
  PutObjectCommand,
  type ListObjectsV2CommandInput,
} from '@aws-sdk/client-s3';
import { outcome, status, type Clients, type Exchange } from './exchange.ts';

/** Gives an exchange a bucket of its own. */
export const withBucket =
  (act: Exchange['act']): Exchange['act'] =>
  async (clients, name) => {
    await clients.s3.send(new CreateBucketCommand({ Bucket: name }));
    return act(clients, name);
  };

async function fill({ s3 }: Clients, Bucket: string, keys: readonly string[]): Promise<void> {
  for (const Key of keys) await s3.send(new PutObjectCommand({ Bucket, Key, Body: Key }));
}

const list = ({ s3 }: Clients, Bucket: string, more: Partial<ListObjectsV2CommandInput>): Promise<unknown> =>
  outcome(s3.send(new ListObjectsV2Command({ Bucket, ...more })), (answer) => [
    (answer.Contents ?? []).map(({ Key }) => Key),
    (answer.CommonPrefixes ?? []).map(({ Prefix }) => Prefix),
    answer.KeyCount,
    answer.IsTruncated,
  ]);

export const s3Buckets: readonly Exchange[] = [
  {
    title: 'a bucket is created, found, listed and deleted',
    act: async ({ s3 }, Bucket) => {
      const before = await outcome(s3.send(new HeadBucketCommand({ Bucket })), status);
      const created = await outcome(s3.send(new CreateBucketCommand({ Bucket })), status);
      const again = await outcome(s3.send(new CreateBucketCommand({ Bucket })), status);
      const found = await outcome(s3.send(new HeadBucketCommand({ Bucket })), status);
      const { Buckets = [] } = await s3.send(new ListBucketsCommand({}));
      const deleted = await outcome(s3.send(new DeleteBucketCommand({ Bucket })), status);
      return { before, created, again, found, listed: Buckets.some(({ Name }) => Name === Bucket), deleted };
    },
    expected: {
      before: { refused: 'NotFound', status: 404 },
      created: 200,
      again: 200,
      found: 200,
      listed: true,
      deleted: 204,
    },
  },
  {
    title: 'a bucket that holds something is not deleted',
    act: withBucket(async (of, Bucket) => {
      await fill(of, Bucket, ['k']);
      return outcome(of.s3.send(new DeleteBucketCommand({ Bucket })), status);
    }),
    expected: { refused: 'BucketNotEmpty', status: 409 },
  },
  {
    title: 'a bucket that is not there is missing by name',
    act: async ({ s3 }, Bucket) => [
      await outcome(s3.send(new GetObjectCommand({ Bucket, Key: 'k' })), status),
      await outcome(s3.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'x' })), status),
      await outcome(s3.send(new ListObjectsV2Command({ Bucket })), status),
      await outcome(s3.send(new DeleteBucketCommand({ Bucket })), status),
    ],
    expected: Array(4).fill({ refused: 'NoSuchBucket', status: 404 }),
  },
  {
    title: 'a bucket name must be fit for a host name',
    act: async ({ s3 }) => outcome(s3.send(new CreateBucketCommand({ Bucket: 'Not_A_Bucket' })), status),
    expected: { refused: 'InvalidBucketName', status: 400 },
  },
  {
    title: 'keys are listed in the order of their bytes, and by prefix',
    act: withBucket(async (of, name) => {
      await fill(of, name, ['b', 'a', 'Z', 'ü', '￿', '😀', 'ab', 'a/b']);
      return [await list(of, name, {}), await list(of, name, { Prefix: 'a' })];
    }),
    expected: [
      [['Z', 'a', 'a/b', 'ab', 'b', 'ü', '￿', '😀'], [], 8, false],
      [['a', 'a/b', 'ab'], [], 3, false],
    ],
  },
  {
    title: 'a delimiter folds what lies below it',
    act: withBucket(async (of, name) => {
      await fill(of, name, ['a/1', 'a/2', 'a/b/3', 'b', 'c/4']);
      return [
        await list(of, name, { Delimiter: '/' }),
        await list(of, name, { Delimiter: '/', Prefix: 'a/' }),
        await list(of, name, { Delimiter: '/', Prefix: 'a' }),
      ];
    }),
    expected: [
      [['b'], ['a/', 'c/'], 3, false],
      [['a/1', 'a/2'], ['a/b/'], 3, false],
      [[], ['a/'], 1, false],
    ],
  },
  {
    title: 'pages join to the whole list, keys and folds alike',
    act: withBucket(async (of, Bucket) => {
      await fill(of, Bucket, ['a', 'b/1', 'b/2', 'c', 'd/1', 'e']);
      const seen: (string | undefined)[] = [];
      let pages = 0;
      let token: string | undefined;
      do {
        const at = token === undefined ? {} : { ContinuationToken: token };
        const answer = await of.s3.send(
          new ListObjectsV2Command({ Bucket, Delimiter: '/', MaxKeys: 2, ...at }),
        );
        seen.push(...(answer.Contents ?? []).map(({ Key }) => Key));
        seen.push(...(answer.CommonPrefixes ?? []).map(({ Prefix }) => Prefix));
        token = answer.NextContinuationToken;
        pages += 1;
      } while (token !== undefined && pages < 10);
      return { pages, seen: seen.sort() };
    }),
    expected: { pages: 3, seen: ['a', 'b/', 'c', 'd/', 'e'] },
  },
  {
    title: 'a list may start after a key, and may be asked for nothing',
    act: withBucket(async (of, name) => {
      await fill(of, name, ['a', 'b', 'c']);
      return [
        await list(of, name, { StartAfter: 'a' }),
        await list(of, name, { StartAfter: 'aa', MaxKeys: 1 }),
        await list(of, name, { MaxKeys: 0 }),
      ];
    }),
    expected: [
      [['b', 'c'], [], 2, false],
      [['b'], [], 1, true],
      [[], [], 0, false],
    ],
  },
  {
    title: 'an entry of a list tells size and tag',
    act: withBucket(async (of, Bucket) => {
      await fill(of, Bucket, ['hello']);
      const { Contents = [] } = await of.s3.send(new ListObjectsV2Command({ Bucket }));
      return Contents.map(({ Key, Size, ETag, StorageClass }) => ({ Key, Size, ETag, StorageClass }));
    }),
    expected: [
      { Key: 'hello', Size: 5, ETag: '"5d41402abc4b2a76b9719d911017c592"', StorageClass: 'STANDARD' },
    ],
  },
  {
    title: 'lifecycle rules are kept as they were given, and go when they are deleted',
    act: withBucket(async ({ s3 }, Bucket) => {
      const Rules = [
        { ID: 'old', Status: 'Enabled', Filter: { Prefix: 'tmp/' }, Expiration: { Days: 3 } },
        {
          ID: 'forgotten',
          Status: 'Disabled',
          Filter: { Prefix: '' },
          AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 },
        },
      ] as const;
      const read = (): Promise<unknown> =>
        outcome(s3.send(new GetBucketLifecycleConfigurationCommand({ Bucket })), (answer) => answer.Rules);
      const none = await read();
      const LifecycleConfiguration = { Rules: [...Rules] };
      await s3.send(new PutBucketLifecycleConfigurationCommand({ Bucket, LifecycleConfiguration }));
      const kept = await read();
      await s3.send(new DeleteBucketLifecycleCommand({ Bucket }));
      return { none, kept, deleted: await read() };
    }),
    expected: {
      none: { refused: 'NoSuchLifecycleConfiguration', status: 404 },
      kept: [
        { ID: 'old', Status: 'Enabled', Filter: { Prefix: 'tmp/' }, Expiration: { Days: 3 } },
        {
          ID: 'forgotten',
          Status: 'Disabled',
          Filter: { Prefix: '' },
          AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 },
        },
      ],
      deleted: { refused: 'NoSuchLifecycleConfiguration', status: 404 },
    },
  },
];
