/** What slows and what ends: bandwidth, request rates, faults, lifecycle rules. */
import {
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutBucketLifecycleConfigurationCommand,
  PutObjectCommand,
  type LifecycleRule,
} from '@aws-sdk/client-s3';
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { awsRequestRate, openShaping } from '../../src/localcloud/s3/shaping.ts';
import type { Call } from '../../src/localcloud/wire/call.ts';
import { manualClock } from './manual-clock.ts';
import { Bucket, eventually, openS3Rig, refusalOf, type S3Rig } from './s3-rig.ts';

const slowDown = { code: 'SlowDown', status: 503 };
const keys = async (rig: S3Rig): Promise<readonly (string | undefined)[]> =>
  ((await rig.client.send(new ListObjectsV2Command({ Bucket }))).Contents ?? []).map(({ Key }) => Key);

test('an instance sends and receives no faster than its card', async () => {
  const bandwidth = { upBytesPerSecond: 1_000_000, downBytesPerSecond: 2_000_000 };
  await using rig = await openS3Rig({ bandwidthOf: (id) => (id === 'i-slow' ? bandwidth : null) });
  const Body = Buffer.alloc(400_000);
  const timed = async (call: () => Promise<unknown>): Promise<number> => {
    const begun = performance.now();
    await call();
    return performance.now() - begun;
  };
  const client = rig.clientOf('i-slow');
  const up = await timed(() => client.send(new PutObjectCommand({ Bucket, Key: 'k', Body })));
  const down = await timed(async () => {
    const answer = await client.send(new GetObjectCommand({ Bucket, Key: 'k' }));
    await answer.Body!.transformToByteArray();
  });
  // 400,000 bytes less the burst of a tenth of a second: 0.3 s up, 0.1 s down, and never less.
  ok(up >= 295, `${up} ms up`);
  ok(down >= 95, `${down} ms down`);
});

test('a busy card keeps its own instance waiting and no other, and one direction not the other', async () => {
  const clock = manualClock();
  const bandwidth = { upBytesPerSecond: 1000, downBytesPerSecond: 1000 };
  const shaping = openShaping({ clock, requestRate: awsRequestRate, bandwidthOf: () => bandwidth });
  const passed: string[] = [];
  const send = async (instanceId: string, direction: 'up' | 'down'): Promise<void> => {
    const caller = { accessKeyId: 'ASIA', instanceId };
    const call = { caller, signal: new AbortController().signal } as Call;
    async function* bytes(): AsyncGenerator<Uint8Array> {
      yield Buffer.alloc(600);
    }
    for await (const _ of shaping[direction](call, bytes())) passed.push(`${instanceId} ${direction}`);
  };
  const all = Promise.all([send('i-1', 'up'), send('i-1', 'up'), send('i-1', 'down'), send('i-2', 'up')]);
  // Each has a burst of 100 bytes, so 600 take half a second, and another 600 on the same card 0.6 s more.
  const at = async (ms: number): Promise<readonly string[]> => {
    clock.advance(ms);
    await turn();
    return [...passed].sort();
  };
  const first = ['i-1 down', 'i-1 up', 'i-2 up'];
  await turn();
  deepEqual([await at(499), await at(1)], [[], first]);
  deepEqual([await at(599), await at(1)], [first, ['i-1 down', 'i-1 up', 'i-1 up', 'i-2 up']]);
  await all;
});

test('a prefix asked too often is told to slow down, and its neighbours are not', async () => {
  const clock = manualClock(Date.now());
  const requestRate = {
    writes: { burst: 2, perSecond: 1 },
    reads: { burst: 1, perSecond: 1 },
  };
  await using rig = await openS3Rig({ clock, requestRate });
  const put = (Key: string): Promise<unknown> =>
    rig.client.send(new PutObjectCommand({ Bucket, Key, Body: 'x' }));
  await put('a/1');
  await put('a/2');
  deepEqual(await refusalOf(put('a/3')), slowDown);
  await put('b/1');
  await rig.client.send(new HeadObjectCommand({ Bucket, Key: 'a/1' }));
  clock.advance(1000);
  await put('a/3');
  deepEqual(await refusalOf(put('a/4')), slowDown);
});

test('an ordered fault hits one call, in the words of S3, and late if it is told so', async () => {
  const clock = manualClock(Date.now());
  await using rig = await openS3Rig({ clock });
  const put = (): Promise<unknown> => rig.client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'x' }));
  rig.faults.push({ delayMs: 0, fail: 503 });
  deepEqual(await refusalOf(put()), slowDown);
  rig.faults.push({ delayMs: 0, fail: 500 });
  deepEqual(await refusalOf(put()), { code: 'InternalError', status: 500 });
  rig.faults.push({ delayMs: 0, fail: 403 });
  deepEqual(await refusalOf(put()), { code: 'AccessDenied', status: 403 });
  rig.faults.push({ delayMs: 0, fail: 'drop' });
  equal((await refusalOf(put())).status, 0);

  rig.faults.push({ delayMs: 5_000, fail: null });
  let done = false;
  const before = rig.begun.length;
  const late = put().then(() => (done = true));
  await eventually(() => rig.begun.length > before);
  clock.advance(4_999);
  await rig.client.send(new HeadObjectCommand({ Bucket, Key: 'other' })).catch(() => undefined);
  equal(done, false);
  clock.advance(1);
  await late;
  deepEqual(await keys(rig), ['k']);
});

const dayMs = 1000;
const setRules = async ({ client }: S3Rig, Rules: LifecycleRule[]): Promise<unknown> =>
  client.send(new PutBucketLifecycleConfigurationCommand({ Bucket, LifecycleConfiguration: { Rules } }));

test('an object goes at the midnight after its days, and only where a rule says so', async () => {
  const clock = manualClock(Math.ceil(Date.now() / dayMs) * dayMs - 1000);
  await using rig = await openS3Rig({ clock, dayMs });
  await setRules(rig, [
    { ID: 'tmp', Status: 'Enabled', Filter: { Prefix: 'tmp/' }, Expiration: { Days: 2 } },
    { ID: 'off', Status: 'Disabled', Filter: { Prefix: '' }, Expiration: { Days: 1 } },
  ]);
  clock.advance(300); // day 0, seven hours after midnight
  for (const Key of ['tmp/a', 'kept'])
    await rig.client.send(new PutObjectCommand({ Bucket, Key, Body: 'x' }));
  clock.advance(2 * dayMs + 699);
  await rig.s3().sweep();
  deepEqual(await keys(rig), ['kept', 'tmp/a'], 'its two days are over, but it is not midnight');
  clock.advance(1);
  await rig.s3().sweep();
  deepEqual(await keys(rig), ['kept']);
});

test('rules are applied without being asked', async () => {
  const clock = manualClock(Date.now());
  await using rig = await openS3Rig({ clock, dayMs });
  await setRules(rig, [{ ID: 'r', Status: 'Enabled', Filter: { Prefix: '' }, Expiration: { Days: 1 } }]);
  await rig.client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'x' }));
  await eventually(async () => {
    clock.advance(dayMs);
    return (await keys(rig)).length === 0;
  });
  deepEqual(rig.reported, []);
});

test('an object that is written again is young again', async () => {
  const clock = manualClock(Date.now());
  await using rig = await openS3Rig({ clock, dayMs });
  await setRules(rig, [{ ID: 'r', Status: 'Enabled', Filter: { Prefix: '' }, Expiration: { Days: 3 } }]);
  const put = (): Promise<unknown> => rig.client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'x' }));
  await put();
  clock.advance(2 * dayMs);
  await put();
  clock.advance(2 * dayMs);
  await rig.s3().sweep();
  deepEqual(await keys(rig), ['k']);
  clock.advance(2 * dayMs);
  await rig.s3().sweep();
  deepEqual(await keys(rig), []);
});

test('a forgotten upload is aborted, and its parts with it', async () => {
  const clock = manualClock(Date.now());
  await using rig = await openS3Rig({ clock, dayMs });
  const AbortIncompleteMultipartUpload = { DaysAfterInitiation: 1 };
  await setRules(rig, [
    { ID: 'r', Status: 'Enabled', Filter: { Prefix: '' }, AbortIncompleteMultipartUpload },
  ]);
  await rig.client.send(new CreateMultipartUploadCommand({ Bucket, Key: 'k' }));
  clock.advance(2 * dayMs);
  await rig.s3().sweep();
  const { Uploads = [] } = await rig.client.send(new ListMultipartUploadsCommand({ Bucket }));
  deepEqual(Uploads, []);
});

test('a rule of a kind that is not applied here is refused, not ignored', async () => {
  await using rig = await openS3Rig();
  const refused = { code: 'NotImplemented', status: 501 };
  const Tag = { Key: 'a', Value: 'b' };
  const tagged = setRules(rig, [{ Status: 'Enabled', Filter: { Tag }, Expiration: { Days: 1 } }]);
  deepEqual(await refusalOf(tagged), refused);
  const dated = setRules(rig, [
    { Status: 'Enabled', Filter: { Prefix: '' }, Expiration: { Date: new Date(0) } },
  ]);
  deepEqual(await refusalOf(dated), refused);
});
