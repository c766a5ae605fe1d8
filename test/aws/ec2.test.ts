import { deepEqual, equal, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import { openCloud } from '../../src/aws/ec2.ts';
import { FakeEc2, mute, throttled, unauthorized, unknownInstance, well } from './fake-ec2.ts';

const soon = (): AbortSignal => AbortSignal.timeout(30_000);

async function met(run: (cloud: ReturnType<typeof openCloud>, ec2: FakeEc2) => Promise<void>): Promise<void> {
  await using ec2 = await FakeEc2.start();
  const expiration = new Date(Date.now() + 3_600_000);
  const cloud = openCloud({
    cluster: 'demo',
    instanceId: 'i-self',
    credentials: () =>
      Promise.resolve({ accessKeyId: 'AKIDROLE', secretAccessKey: 's', sessionToken: 't', expiration }),
    endpoint: ec2.endpoint,
    region: 'us-east-1',
    p2pPort: 4001,
  });
  try {
    await run(cloud, ec2);
  } finally {
    cloud.close();
  }
}

test('the cluster is every pending or running instance with its tag, over all pages, and nothing else', () =>
  met(async (cloud, ec2) => {
    ec2.pageSize = 2;
    for (let i = 0; i < 5; i++)
      ec2.add(`i-${i}`, { SynktiCluster: 'demo' }, i === 0 ? { state: 'pending' } : {});
    ec2.add('i-other', { SynktiCluster: 'prod' });
    ec2.add('i-gone', { SynktiCluster: 'demo' }, { state: 'shutting-down' });
    const found = await cloud.sightings(soon());
    deepEqual(
      found.map(({ instanceId }) => instanceId),
      ['i-0', 'i-1', 'i-2', 'i-3', 'i-4'],
    );
    equal(ec2.calls.length, 3);
    for (const call of ec2.calls) {
      equal(call.get('MaxResults'), '1000');
      equal(call.get('Filter.1.Name'), 'tag:SynktiCluster');
    }
    deepEqual([...ec2.accessKeys], ['AKIDROLE']);
  }));

test('a sighting tells what the tags tell, and nothing where there is none', () =>
  met(async (cloud, ec2) => {
    ec2.add('i-full', {
      SynktiCluster: 'demo',
      SynktiRole: 'worker',
      SynktiPeerId: '12D3Koo',
      SynktiAddress: '127.0.0.1:4101',
      SynktiState: 'left',
    });
    ec2.add('i-young', { SynktiCluster: 'demo' }, { privateIp: null, zone: 'us-east-1b' });
    ec2.add('i-plain', { SynktiCluster: 'demo', SynktiPeerId: 'p' });
    const bad = ['nonsense', 'host:', ':1', 'host:0', 'host:65536', 'host:1x', 'a b:1'];
    for (const [i, SynktiAddress] of bad.entries())
      ec2.add(`i-bad-${i}`, { SynktiCluster: 'demo', SynktiAddress });
    const [full, young, plain, ...others] = await cloud.sightings(soon());
    deepEqual(full, {
      instanceId: 'i-full',
      peerId: '12D3Koo',
      address: { host: '127.0.0.1', port: 4101 },
      zone: 'us-east-1a',
      role: 'worker',
      left: true,
    });
    deepEqual(young, {
      instanceId: 'i-young',
      peerId: null,
      address: null,
      zone: 'us-east-1b',
      role: '',
      left: false,
    });
    deepEqual(plain?.address, { host: '10.0.0.3', port: 4001 });
    deepEqual(
      others.map(({ address }) => address),
      bad.map(() => null),
    );
  }));

test('a page that fails makes the whole answer a failure, not a smaller cluster', () =>
  met(async (cloud, ec2) => {
    ec2.pageSize = 1;
    ec2.add('i-1', { SynktiCluster: 'demo' });
    ec2.add('i-2', { SynktiCluster: 'demo' });
    ec2.refusals.set('DescribeInstances', [well, unauthorized]);
    await rejects(cloud.sightings(soon()), { kind: 'denied' });
    equal(ec2.calls.length, 2);
    equal((await cloud.sightings(soon())).length, 2);
  }));

test('a listing that runs in circles is a failure, and not a complete answer', () =>
  met(async (cloud, ec2) => {
    ec2.pageSize = 1;
    ec2.circles = true;
    for (const id of ['i-1', 'i-2', 'i-3']) ec2.add(id, { SynktiCluster: 'demo' });
    await rejects(cloud.sightings(soon()), {
      kind: 'invalid',
      message: 'list instances: invalid: over 20 pages',
    });
  }));

test('what is no list of EC2 is a failure, and no empty cluster', () =>
  met(async (cloud, ec2) => {
    const begun = '<DescribeInstancesResponse><reservationSet><item><instancesSet>';
    const none = '<DescribeInstancesResponse></DescribeInstancesResponse>';
    for (const answer of ['', '<html><body>sign in</body></html>', 'sign in', none, begun]) {
      ec2.answer = answer;
      await rejects(cloud.sightings(soon()), { kind: 'invalid', message: /^list instances: invalid: .+$/ });
    }
    ec2.answer = '<DescribeInstancesResponse><reservationSet/></DescribeInstancesResponse>';
    deepEqual(await cloud.sightings(soon()), []);
  }));

test('a call that EC2 never answers is made once more before the time is up', () =>
  met(async (cloud, ec2) => {
    ec2.add('i-1', { SynktiCluster: 'demo' });
    ec2.refusals.set('DescribeInstances', [mute]);
    equal((await cloud.sightings(soon())).length, 1);
    equal(ec2.calls.length, 2);
  }));

test('throttling is tried again once, and then it is busy: many are throttled together', () =>
  met(async (cloud, ec2) => {
    ec2.refusals.set('DescribeInstances', [throttled]);
    deepEqual(await cloud.sightings(soon()), []);
    equal(ec2.calls.length, 2);
    ec2.refusals.set('DescribeInstances', Array(4).fill(throttled));
    await rejects(cloud.sightings(soon()), {
      kind: 'busy',
      message: 'list instances: busy: RequestLimitExceeded',
    });
    equal(ec2.calls.length, 4);
  }));

test('a cloud that refuses, is too late, or cannot be reached says so', () =>
  met(async (cloud, ec2) => {
    ec2.refusals.set('DescribeInstances', [unauthorized]);
    await rejects(cloud.sightings(soon()), { kind: 'denied' });
    await rejects(cloud.sightings(AbortSignal.abort()), { kind: 'late' });
    ec2.stop();
    await rejects(cloud.sightings(soon()), { kind: 'unreachable', message: /^list instances: unreachable/ });
  }));

test('a booting instance that EC2 does not know yet is tagged as soon as it does', () =>
  met(async (cloud, ec2) => {
    const instance = ec2.add('i-self', {});
    ec2.refusals.set('CreateTags', [unknownInstance, unknownInstance]);
    await cloud.tagSelf({ SynktiCluster: 'demo', SynktiPeerId: 'p' }, soon());
    deepEqual(
      [...instance.tags],
      [
        ['SynktiCluster', 'demo'],
        ['SynktiPeerId', 'p'],
      ],
    );
    equal(ec2.calls.length, 3);
  }));

test('an instance that stays unknown is given up at the deadline, one that may not be tagged at once', () =>
  met(async (cloud, ec2) => {
    ec2.refusals.set('CreateTags', Array(50).fill(unknownInstance));
    await rejects(cloud.tagSelf({ a: 'b' }, AbortSignal.timeout(300)), { kind: 'late' });
    ec2.refusals.set('CreateTags', [unauthorized]);
    ec2.calls.length = 0;
    await rejects(cloud.tagSelf({ a: 'b' }, soon()), { kind: 'denied' });
    equal(ec2.calls.length, 1);
  }));

test('tags are deleted by key, only those of the own instance, and never all of them', () =>
  met(async (cloud, ec2) => {
    const own = ec2.add('i-self', { SynktiCluster: 'demo', SynktiRole: 'worker', Name: 'keep' });
    const other = ec2.add('i-other', { SynktiCluster: 'demo', SynktiRole: 'worker' });
    await cloud.untagSelf(['SynktiCluster', 'SynktiRole'], soon());
    deepEqual([...own.tags.keys()], ['Name']);
    equal(other.tags.size, 2);
    await rejects(cloud.untagSelf([], soon()), /without keys EC2 deletes every tag/);
  }));
