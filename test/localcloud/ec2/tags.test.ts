import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import {
  CreateTagsCommand,
  DeleteTagsCommand,
  DescribeInstancesCommand,
  DescribeTagsCommand,
  TerminateInstancesCommand,
  type Tag,
} from '@aws-sdk/client-ec2';
import { usualCloud } from '../../../src/localcloud/cloud-options.ts';
import { startRig } from '../rig.ts';
import { asNode, ids, tagList, tagsOf, talk } from './talk.ts';

test('a launch in a named zone is there, tagged from the start', async () => {
  await using rig = await startRig();
  const { run, describe } = talk(rig);
  await run(1, {
    Placement: { AvailabilityZone: 'us-east-1c' },
    TagSpecifications: [
      { ResourceType: 'instance', Tags: tagList({ SynktiCluster: 'dev' }) },
      { ResourceType: 'volume', Tags: tagList({ Name: 'disk' }) },
    ],
  });
  await rig.pass(300);
  const [instance] = await describe();
  equal(instance?.Placement?.AvailabilityZone, 'us-east-1c');
  deepEqual(tagsOf(instance), { SynktiCluster: 'dev' });
});

test('tags are written, listed, deleted by key, by value, or all at once', async () => {
  await using rig = await startRig();
  const { ec2, describe, run, tag } = talk(rig);
  const id = (await run(1))[0]!.InstanceId!;
  await rig.pass(1_000);
  await tag([id], { a: '1', b: '2', c: '3', d: '' });
  const remove = (Tags?: Tag[]): Promise<unknown> =>
    ec2.send(new DeleteTagsCommand({ Resources: [id], ...(Tags === undefined ? {} : { Tags }) }));
  await remove([{ Key: 'a' }, { Key: 'b', Value: 'other' }, { Key: 'd', Value: '' }]);
  await rig.pass(1_000);
  deepEqual(tagsOf((await describe())[0]), { b: '2', c: '3' });
  const { Tags } = await ec2.send(
    new DescribeTagsCommand({
      Filters: [
        { Name: 'resource-type', Values: ['instance'] },
        { Name: 'key', Values: ['b'] },
      ],
    }),
  );
  deepEqual(Tags, [{ Key: 'b', Value: '2', ResourceId: id, ResourceType: 'instance' }]);
  await remove();
  await rig.pass(1_000);
  deepEqual(tagsOf((await describe())[0]), {});
});

test('readers may see a tag a moment late', async () => {
  await using rig = await startRig();
  const { filtered, run, tag } = talk(rig);
  const id = (await run(1))[0]!.InstanceId!;
  await rig.pass(1_000);
  await tag([id], { SynktiCluster: 'dev' });
  deepEqual(await filtered('tag:SynktiCluster', 'dev'), []);
  await rig.pass(300);
  deepEqual(ids(await filtered('tag:SynktiCluster', 'dev')), [id]);
});

test('tags that EC2 would refuse are refused, and then none is written', async () => {
  await using rig = await startRig();
  const { describe, run, tag } = talk(rig);
  const id = (await run(1))[0]!.InstanceId!;
  await rig.pass(1_000);
  await rejects(tag([id], { 'aws:mine': '1' }), { name: 'InvalidParameterValue' });
  await rejects(tag([id], { 'with space': '1' }), { name: 'InvalidParameterValue' });
  await rejects(tag([id], { long: 'x'.repeat(257) }), { name: 'InvalidParameterValue' });
  await rejects(tag([id, 'i-00000000000000000'], { a: '1' }), { name: 'InvalidInstanceID.NotFound' });
  await rejects(tag(['vol-1'], { a: '1' }), { name: 'InvalidID' });
  const many = Object.fromEntries(Array.from({ length: 51 }, (_, n) => [`k${n}`, '']));
  await rejects(tag([id], many), { name: 'TagLimitExceeded' });
  await rig.pass(1_000);
  deepEqual(tagsOf((await describe())[0]), {});
});

test('a node tags itself and nobody else, with the keys of its policy and no others', async () => {
  await using rig = await startRig({ policy: { ...usualCloud.policy, tagValues: { SynktiCluster: 'dev' } } });
  const [self, other] = await rig.boot(2);
  const node = await asNode(rig, self!.imdsEndpoint);
  const tag = (id: string, tags: Record<string, string>, DryRun = false): Promise<unknown> =>
    node.send(new CreateTagsCommand({ Resources: [id], Tags: tagList(tags), DryRun }));
  await tag(self!.id, { SynktiCluster: 'dev', SynktiRole: 'worker', SynktiNodeId: self!.id });
  const denied = { name: 'UnauthorizedOperation' };
  await rejects(tag(other!.id, { SynktiRole: 'worker' }), denied);
  await rejects(tag(self!.id, { Name: 'mine' }), denied);
  await rejects(tag(self!.id, { SynktiCluster: 'another' }), denied);
  await rejects(tag(other!.id, { SynktiRole: 'worker' }, true), denied);
  await rejects(tag(self!.id, { SynktiRole: 'worker' }, true), { name: 'DryRunOperation' });
  await rejects(node.send(new TerminateInstancesCommand({ InstanceIds: [self!.id] })), denied);
  ok((await node.send(new DescribeInstancesCommand({}))).Reservations!.length > 0);
});

test('a node deletes its tags only where the policy permits it and it has said which node it is', async () => {
  await using rig = await startRig();
  const [self] = await rig.boot(1);
  const node = await asNode(rig, self!.imdsEndpoint);
  const untag = (...keys: string[]): Promise<unknown> =>
    node.send(new DeleteTagsCommand({ Resources: [self!.id], Tags: keys.map((Key) => ({ Key })) }));
  const denied = { name: 'UnauthorizedOperation' };
  await rejects(untag('SynktiRole'), denied);
  await node.send(
    new CreateTagsCommand({
      Resources: [self!.id],
      Tags: tagList({ SynktiNodeId: self!.id, SynktiRole: 'worker' }),
    }),
  );
  await rejects(node.send(new DeleteTagsCommand({ Resources: [self!.id] })), denied);
  await rejects(untag('Name'), denied);
  await untag('SynktiRole');

  await using strict = await startRig({ policy: { ...usualCloud.policy, deletesTags: false } });
  const [one] = await strict.boot(1);
  const held = await asNode(strict, one!.imdsEndpoint);
  await held.send(new CreateTagsCommand({ Resources: [one!.id], Tags: tagList({ SynktiNodeId: one!.id }) }));
  await rejects(
    held.send(new DeleteTagsCommand({ Resources: [one!.id], Tags: [{ Key: 'SynktiNodeId' }] })),
    denied,
  );
});
