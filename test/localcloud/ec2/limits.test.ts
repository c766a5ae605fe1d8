import { deepEqual, equal, match, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import {
  DescribeInstancesCommand,
  DescribeInstanceStatusCommand,
  DescribeSpotPriceHistoryCommand,
  DescribeTagsCommand,
  DescribeVpcsCommand,
  EC2Client,
} from '@aws-sdk/client-ec2';
import { startRig } from '../rig.ts';
import { ids, talk } from './talk.ts';

test('keys that nobody has issued are refused, and so is a wrong secret', async () => {
  await using rig = await startRig();
  const denied = { name: 'AuthFailure' };
  const ask = (credentials: { accessKeyId: string; secretAccessKey: string }): Promise<unknown> =>
    new EC2Client({ ...rig.sdk, credentials }).send(new DescribeInstancesCommand({}));
  await rejects(ask({ accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'x' }), denied);
  await rejects(ask({ ...rig.sdk.credentials, secretAccessKey: 'x' }), denied);
});

test('the documented buckets run dry and refill: 100 pages, 50 of everything, 100 tag writes', async () => {
  await using rig = await startRig();
  const { ec2, run, tag } = talk(rig);
  const id = (await run(1))[0]!.InstanceId!;
  await rig.pass(60_000);
  const admitted = async (call: () => Promise<unknown>, calls: number): Promise<number> => {
    const results = await Promise.allSettled(Array.from({ length: calls }, call));
    for (const result of results)
      if (result.status === 'rejected') equal((result.reason as Error).name, 'RequestLimitExceeded');
    return results.filter(({ status }) => status === 'fulfilled').length;
  };
  const page = (): Promise<unknown> => ec2.send(new DescribeInstancesCommand({ MaxResults: 100 }));
  const whole = (): Promise<unknown> => ec2.send(new DescribeInstancesCommand({}));
  equal(await admitted(page, 110), 100);
  equal(await admitted(whole, 60), 50);
  equal(await admitted(() => tag([id], { SynktiState: 'x' }), 110), 100);
  await rig.pass(1_000);
  equal(await admitted(page, 30), 20);
  equal(await admitted(whole, 30), 10);
  equal(await admitted(() => tag([id], { SynktiState: 'x' }), 30), 10);
  equal(await admitted(() => ec2.send(new DescribeTagsCommand({})), 110), 100);
  equal(await admitted(() => run(1, { DryRun: true }).catch(expectDryRun), 8), 5);
});

function expectDryRun(error: unknown): void {
  if ((error as Error).name !== 'DryRunOperation') throw error;
}

test('while a zone is down, calls about everything fail, and calls about other zones work', async () => {
  await using rig = await startRig();
  const { describe, run } = talk(rig);
  const [a, b] = (await run(2)).map((i) => i.InstanceId!);
  await rig.pass(1_000);
  await rig.operate('outage', { zone: 'us-east-1c', on: true });
  await rejects(describe(), { name: 'InternalError' }, 'although nothing runs there');
  await rig.operate('outage', { zone: 'us-east-1c', on: false });
  await rig.operate('outage', { zone: 'us-east-1a', on: true });
  await rejects(describe(), { name: 'InternalError' });
  await rejects(describe({ InstanceIds: [a!] }), { name: 'InternalError' });
  deepEqual(ids(await describe({ InstanceIds: [b!] })), [b!]);
  await rejects(run(1, { Placement: { AvailabilityZone: 'us-east-1a' } }), {
    name: 'InsufficientInstanceCapacity',
  });
  equal((await run(1))[0]?.Placement?.AvailabilityZone, 'us-east-1c');
  await rig.operate('outage', { zone: 'us-east-1a', on: false });
  await rig.pass(1_000);
  equal((await describe()).length, 3);
});

test('an instance that does not answer is impaired, and its maintenance is announced', async () => {
  await using rig = await startRig();
  const { ec2 } = talk(rig);
  const [launch] = await rig.boot(1);
  const status = async () => (await ec2.send(new DescribeInstanceStatusCommand({}))).InstanceStatuses?.[0];
  equal((await status())?.InstanceStatus?.Status, 'ok');
  await rig.operate('freeze', { instance: launch!.id });
  await rig.operate('maintenance', { instance: launch!.id, code: 'instance-stop' });
  equal((await status())?.InstanceStatus?.Status, 'impaired');
  equal((await status())?.Events?.[0]?.Code, 'instance-stop');
  equal((await status())?.Events?.[0]?.NotBefore instanceof Date, true);
});

test('spot prices come newest first, page by page, the same for the same seed', async () => {
  await using rig = await startRig();
  const { ec2 } = talk(rig);
  const ask = async (NextToken?: string) =>
    ec2.send(
      new DescribeSpotPriceHistoryCommand({
        InstanceTypes: ['g5.xlarge'],
        ProductDescriptions: ['Linux/UNIX'],
        AvailabilityZone: 'us-east-1b',
        StartTime: new Date(rig.clock.wallNow() - 86_400_000),
        MaxResults: 3,
        ...(NextToken === undefined ? {} : { NextToken }),
      }),
    );
  const first = await ask();
  const second = await ask(first.NextToken);
  const rows = [...first.SpotPriceHistory!, ...second.SpotPriceHistory!];
  const times = rows.map(({ Timestamp }) => Timestamp!.getTime());
  deepEqual(
    times,
    times.toSorted((x, y) => y - x),
  );
  for (const { SpotPrice, AvailabilityZone } of rows) {
    equal(AvailabilityZone, 'us-east-1b');
    match(SpotPrice!, /^0\.[2-5]\d{5}$/);
  }
  equal(second.NextToken, '');
  deepEqual((await ask()).SpotPriceHistory, first.SpotPriceHistory);
});

test('an action that there is not is refused as such', async () => {
  await using rig = await startRig();
  const { ec2 } = talk(rig);
  await rejects(ec2.send(new DescribeVpcsCommand({})), { name: 'InvalidAction' });
});
