import { deepEqual, equal, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import {
  DescribeInstancesCommand,
  RunInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { usualCloud } from '../../../src/localcloud/cloud-options.ts';
import { startRig } from '../rig.ts';
import { ids, image, talk } from './talk.ts';

test('what is run is pending, then running, in zones a, b and c in turn', async () => {
  await using rig = await startRig();
  const { run, describe } = talk(rig);
  const launched = await run(4, { InstanceMarketOptions: { MarketType: 'spot' } });
  deepEqual(
    launched.map(({ State }) => State?.Name),
    ['pending', 'pending', 'pending', 'pending'],
  );
  deepEqual(
    launched.map(({ Placement }) => Placement?.AvailabilityZone),
    ['us-east-1a', 'us-east-1b', 'us-east-1c', 'us-east-1a'],
  );
  await rig.pass(1_000);
  const [first] = await describe({ InstanceIds: [launched[0]!.InstanceId!] });
  equal(first?.State?.Name, 'running');
  equal(first?.InstanceLifecycle, 'spot');
  equal(first?.PrivateIpAddress, '10.0.0.4');
  equal(first?.LaunchTime instanceof Date, true);
  equal(rig.hosts.alive().length, 4);
});

test('a launch is known to readers a moment after it was answered', async () => {
  await using rig = await startRig();
  const { run, describe } = talk(rig);
  const id = (await run(1))[0]!.InstanceId!;
  await rejects(describe({ InstanceIds: [id] }), { name: 'InvalidInstanceID.NotFound' });
  deepEqual(await describe(), []);
  await rig.pass(300);
  deepEqual(ids(await describe()), [id]);
});

test('the same client token launches once, and only the same request', async () => {
  await using rig = await startRig();
  const { run, describe } = talk(rig);
  const first = await run(2, { ClientToken: 'once' });
  const again = await run(2, { ClientToken: 'once' });
  deepEqual(ids(again), ids(first));
  await rejects(run(3, { ClientToken: 'once' }), { name: 'IdempotentParameterMismatch' });
  await rig.pass(300);
  equal((await describe()).length, 2);
});

test('launches that cannot be are refused in the words of EC2', async () => {
  await using rig = await startRig({ instancesMax: 3 });
  const { ec2, run } = talk(rig);
  await rejects(run(1, { Placement: { AvailabilityZone: 'eu-west-1a' } }), { name: 'InvalidParameterValue' });
  await rejects(run(4), { name: 'InstanceLimitExceeded' });
  await rejects(run(1, { ImageId: 'linux' }), { name: 'InvalidAMIID.Malformed' });
  await rejects(run(1, { DryRun: true }), { name: 'DryRunOperation' });
  const some = await ec2.send(new RunInstancesCommand({ ...image, MinCount: 1, MaxCount: 9 }));
  equal(some.Instances?.length, 3);
});

test('terminating shuts down politely, and the terminated instance stays visible for a while', async () => {
  await using rig = await startRig({ timings: { ...usualCloud.timings, remembersTerminatedMs: 60_000 } });
  const { ec2, describe, run } = talk(rig);
  const id = (await run(1))[0]!.InstanceId!;
  await rig.pass(1_000);
  const { TerminatingInstances } = await ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
  equal(TerminatingInstances?.[0]?.PreviousState?.Name, 'running');
  equal(TerminatingInstances?.[0]?.CurrentState?.Name, 'shutting-down');
  await rig.pass(100);
  equal(rig.hosts.machines.get(id)?.asked, true);
  deepEqual(rig.hosts.alive(), [id]);
  await rig.pass(31_000);
  deepEqual(rig.hosts.alive(), []);
  const [gone] = await describe();
  equal(gone?.State?.Name, 'terminated');
  equal(gone?.StateReason?.Code, 'Client.UserInitiatedShutdown');
  equal(gone?.PrivateIpAddress, undefined);
  await rig.pass(60_000);
  await rejects(describe({ InstanceIds: [id] }), { name: 'InvalidInstanceID.NotFound' });
});

test('filters narrow each other, their values are alternatives, wildcards count', async () => {
  await using rig = await startRig();
  const { describe, filtered, run, tag } = talk(rig);
  const [a, b, c] = (await run(3, { InstanceMarketOptions: { MarketType: 'spot' } })).map(
    (i) => i.InstanceId!,
  );
  await rig.pass(1_000);
  await tag([a!, b!], { SynktiCluster: 'my-prod', SynktiRole: 'worker' });
  await tag([b!], { SynktiRole: 'edge' });
  await rig.pass(1_000);
  deepEqual(ids(await filtered('tag:SynktiCluster', 'my-prod')), [a!, b!].sort());
  deepEqual(ids(await filtered('tag:SynktiCluster', 'my-*')), [a!, b!].sort());
  deepEqual(ids(await filtered('tag:SynktiRole', 'worker', 'e?ge')), [a!, b!].sort());
  deepEqual(ids(await filtered('tag-key', 'SynktiCluster')), [a!, b!].sort());
  deepEqual(ids(await filtered('availability-zone', 'us-east-1c')), [c!]);
  deepEqual(ids(await filtered('instance-id', a!)), [a!]);
  deepEqual(await filtered('instance-state-name', 'pending'), []);
  deepEqual(
    ids(
      await describe({
        Filters: [
          { Name: 'tag:SynktiCluster', Values: ['my-prod'] },
          { Name: 'instance-state-name', Values: ['pending', 'running'] },
          { Name: 'tag:SynktiRole', Values: ['edge'] },
        ],
      }),
    ),
    [b!],
  );
  await rejects(filtered('colour', 'red'), { name: 'InvalidParameterValue' });
});

test('pages follow one another until everything was seen once', async () => {
  await using rig = await startRig();
  const { ec2, run } = talk(rig);
  const all = ids(await run(12));
  await rig.pass(1_000);
  const seen: string[] = [];
  let NextToken: string | undefined;
  let pages = 0;
  do {
    const page = await ec2.send(
      new DescribeInstancesCommand({ MaxResults: 5, ...(NextToken === undefined ? {} : { NextToken }) }),
    );
    seen.push(...(page.Reservations ?? []).flatMap((r) => r.Instances ?? []).map((i) => i.InstanceId!));
    NextToken = page.NextToken;
    pages += 1;
  } while (NextToken !== undefined);
  deepEqual(seen.sort(), all);
  equal(pages, 3);
});

test('ids and pages exclude one another, and what is no id or no token is refused', async () => {
  await using rig = await startRig();
  const { describe, run } = talk(rig);
  const id = (await run(1))[0]!.InstanceId!;
  await rig.pass(1_000);
  await rejects(describe({ InstanceIds: [id], MaxResults: 5 }), { name: 'InvalidParameterCombination' });
  await rejects(describe({ MaxResults: 4 }), { name: 'InvalidParameterValue' });
  await rejects(describe({ InstanceIds: ['i-xyz'] }), { name: 'InvalidInstanceID.Malformed' });
  await rejects(describe({ InstanceIds: ['i-00000000000000000'] }), { name: 'InvalidInstanceID.NotFound' });
  await rejects(describe({ MaxResults: 5, NextToken: 'mine' }), { name: 'InvalidNextToken' });
});
