/** CreateBucket, HeadBucket, ListBuckets, DeleteBucket, GetBucketLocation: no more than a bootstrap needs. */
import { AwsError } from '../wire/aws-error.ts';
import type { Answer, Call } from '../wire/call.ts';
import { bucketNamed, document, empty, iso, type Address, type Backing } from './backing.ts';

const bucketsMax = 100;

/** Creating one's own bucket again is allowed in us-east-1 and refused elsewhere: AWS kept it so. */
export async function createBucket(
  { store, clock, region }: Backing,
  _call: Call,
  at: Address,
): Promise<Answer> {
  if (!isBucketName(at.bucket))
    throw new AwsError(400, 'InvalidBucketName', 'The specified bucket is not valid.', {
      details: { BucketName: at.bucket },
    });
  if (store.buckets.has(at.bucket) && region !== 'us-east-1')
    throw new AwsError(
      409,
      'BucketAlreadyOwnedByYou',
      'Your previous request to create the named bucket succeeded and you already own it.',
    );
  if (!store.buckets.has(at.bucket)) {
    if (store.buckets.size >= bucketsMax)
      throw new AwsError(400, 'TooManyBuckets', `You have ${bucketsMax} buckets already.`);
    await store.saveBucket({ name: at.bucket, createdAt: clock.wallNow(), rules: [] });
  }
  return empty(200, { location: `/${at.bucket}` });
}

export async function headBucket(backing: Backing, _call: Call, at: Address): Promise<Answer> {
  bucketNamed(backing, at.bucket);
  return empty(200, { 'x-amz-bucket-region': backing.region });
}

export async function deleteBucket(backing: Backing, _call: Call, at: Address): Promise<Answer> {
  const bucket = bucketNamed(backing, at.bucket);
  if (bucket.objects.size > 0)
    throw new AwsError(409, 'BucketNotEmpty', 'The bucket you tried to delete is not empty');
  for (const upload of [...bucket.uploads.values()]) await backing.store.abortUpload(bucket, upload);
  await backing.store.dropBucket(bucket);
  return empty(204);
}

export async function bucketLocation(backing: Backing, _call: Call, at: Address): Promise<Answer> {
  bucketNamed(backing, at.bucket);
  // us-east-1 is told by saying nothing.
  return document('LocationConstraint', backing.region === 'us-east-1' ? {} : { '#text': backing.region });
}

export async function listBuckets({ store }: Backing): Promise<Answer> {
  const names = [...store.buckets.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  return document('ListAllMyBucketsResult', {
    Buckets: { Bucket: names.map(({ name, createdAt }) => ({ Name: name, CreationDate: iso(createdAt) })) },
    Owner: { ID: 'localcloud', DisplayName: 'localcloud' },
  });
}

const isBucketName = (name: string): boolean =>
  /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name) && !name.includes('..');
