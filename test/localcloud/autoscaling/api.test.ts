import { deepEqual, equal, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import {
  AutoScalingClient,
  CompleteLifecycleActionCommand,
  DescribeAutoScalingGroupsCommand,
  RecordLifecycleActionHeartbeatCommand,
  SetDesiredCapacityCommand,
} from '@aws-sdk/client-auto-scaling';
import { usualCloud } from '../../../src/localcloud/cloud-options.ts';
import { startRig, until, type Rig } from '../rig.ts';

const group = { AutoScalingGroupName: 'synkti-nodes' };
const hook = { ...group, LifecycleHookName: 'drain' };

function talk(rig: Rig) {
  const client = new AutoScalingClient(rig.sdk);
  const describe = async () =>
    (await client.send(new DescribeAutoScalingGroupsCommand({}))).AutoScalingGroups?.[0];
  return {
    client,
    describe,
    resize: (DesiredCapacity: number): Promise<unknown> =>
      client.send(new SetDesiredCapacityCommand({ ...group, DesiredCapacity })),
    states: async (): Promise<readonly (string | undefined)[]> =>
      ((await describe())?.Instances ?? []).map(({ LifecycleState }) => LifecycleState),
    /** What the instance reads in its metadata as its target state; null: 404. */
    async target(id: string): Promise<string | null> {
      const { imdsEndpoint } = rig.hosts.machines.get(id)!.launch;
      const put = { method: 'PUT', headers: { 'x-aws-ec2-metadata-token-ttl-seconds': '60' } };
      const token = await (await fetch(`${imdsEndpoint}/latest/api/token`, put)).text();
      const answer = await fetch(`${imdsEndpoint}/latest/meta-data/autoscaling/target-lifecycle-state`, {
        headers: { 'x-aws-ec2-metadata-token': token },
      });
      return answer.status === 200 ? answer.text() : null;
    },
  };
}

/** A group of two that are up. */
async function startPair(overrides: Parameters<typeof startRig>[0] = {}) {
  const rig = await startRig({ desired: 2, ...overrides });
  await rig.pass(1_000);
  await until(() => rig.hosts.machines.size === 2);
  const [first, second] = [...rig.hosts.machines.keys()];
  return { rig, first: first!, second: second! };
}

test('a group starts what is desired and says what is in it', async () => {
  const { rig, first, second } = await startPair();
  await using _ = rig;
  const { describe, target } = talk(rig);
  const shown = await describe();
  equal(shown?.DesiredCapacity, 2);
  equal(shown?.MinSize, 0);
  deepEqual(
    shown?.Instances?.map(({ InstanceId, AvailabilityZone, LifecycleState }) => ({
      InstanceId,
      AvailabilityZone,
      LifecycleState,
    })),
    [
      { InstanceId: first, AvailabilityZone: 'us-east-1a', LifecycleState: 'InService' },
      { InstanceId: second, AvailabilityZone: 'us-east-1b', LifecycleState: 'InService' },
    ],
  );
  equal(await target(first), 'InService');
});

test('a lost instance is replaced after the delay, in its zone and in its place', async () => {
  const { rig, first } = await startPair();
  await using _ = rig;
  await rig.operate('kill', { instance: first });
  await rig.pass(1_000);
  deepEqual(rig.hosts.alive().length, 1);
  await rig.pass(4_500);
  await until(() => rig.hosts.machines.size === 3);
  const replacement = [...rig.hosts.machines.values()].at(-1)!.launch;
  equal(replacement.zone, 'us-east-1a');
  equal(replacement.index, 0);
});

test('a smaller group asks its instance first, through the hook, and waits for the answer', async () => {
  const { rig, first } = await startPair();
  await using _ = rig;
  const { client, resize, states, target } = talk(rig);
  await resize(1);
  deepEqual(await states(), ['Terminating:Wait', 'InService']);
  equal(await target(first), 'Terminated');
  await rig.pass(50_000);
  await client.send(new RecordLifecycleActionHeartbeatCommand({ ...hook, InstanceId: first }));
  await rig.pass(50_000);
  equal(rig.hosts.machines.get(first)?.asked, false);
  const done = { ...hook, InstanceId: first, LifecycleActionResult: 'CONTINUE' };
  await client.send(new CompleteLifecycleActionCommand(done));
  await rig.pass(0);
  equal(rig.hosts.machines.get(first)?.asked, true);
  equal(await target(first), 'Terminated');
  rig.cloud.exited(first);
  await rig.pass(1_000);
  equal(rig.hosts.alive().length, 1);
  await rejects(client.send(new CompleteLifecycleActionCommand(done)), { name: 'ValidationError' });
});

test('with capacity rebalancing a replacement runs before the one at risk is asked to go', async () => {
  const { rig, first } = await startPair({ group: { ...usualCloud.group, capacityRebalance: true } });
  await using _ = rig;
  const { states, target } = talk(rig);
  await rig.operate('rebalance', { instance: first });
  equal(await target(first), 'InService');
  await rig.pass(1_000);
  deepEqual(await states(), ['Terminating:Wait', 'InService', 'InService']);
  equal(await target(first), 'Terminated');
  equal(rig.hosts.machines.size, 3);
});

test('capacity beyond the bounds, another group and another hook are refused', async () => {
  const { rig, first } = await startPair();
  await using _ = rig;
  const { client, resize } = talk(rig);
  const invalid = { name: 'ValidationError' };
  await rejects(resize(33), invalid);
  await rejects(
    client.send(new SetDesiredCapacityCommand({ AutoScalingGroupName: 'other', DesiredCapacity: 1 })),
    invalid,
  );
  await rejects(
    client.send(new RecordLifecycleActionHeartbeatCommand({ ...hook, InstanceId: first })),
    invalid,
  );
  await rejects(
    client.send(
      new CompleteLifecycleActionCommand({
        ...group,
        LifecycleHookName: 'other',
        InstanceId: first,
        LifecycleActionResult: 'CONTINUE',
      }),
    ),
    invalid,
  );
});
