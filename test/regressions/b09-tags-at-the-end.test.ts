/**
 * B9: the code that took the tags away could not be reached, so an instance that had left still looked like a member.
 * (That a signal reaches it is shown by the tests of the whole node.)
 */
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { openCloud } from '../../src/aws/ec2.ts';
import { deadline, isAdmitted, step } from '../../src/discovery/discovery.ts';
import type { Listed } from '../../src/discovery/events.ts';
import { init } from '../../src/discovery/state.ts';
import type { Fact } from '../../src/node/facts.ts';
import type { Cloud } from '../../src/node/ports.ts';
import { tagSelf, untagSelf } from '../../src/node/tags.ts';
import { systemClock } from '../../src/os/clock.ts';
import type { NodeRecord } from '../../src/registry/record.ts';
import { memberId } from '../../src/std/member-id.ts';
import { instant } from '../../src/std/time.ts';
import { FakeEc2, unauthorized, unknownInstance } from '../aws/fake-ec2.ts';

const peerId = '12D3KooWSelf';
const record = { id: memberId('i-self'), role: 'worker', peerId } as NodeRecord;
const node = { cluster: 'demo', record, address: '127.0.0.1:4101' };

type Tagged = {
  readonly cloud: Cloud;
  readonly ec2: FakeEc2;
  readonly facts: Fact[];
  leave(): Promise<void>;
};

/** A node that tagged itself, on an instance that EC2 did not know yet at first. */
async function tagged(run: (tagged: Tagged) => Promise<void>): Promise<void> {
  await using ec2 = await FakeEc2.start();
  ec2.add('i-self', { Name: 'keep' });
  ec2.refusals.set('CreateTags', [unknownInstance]);
  const expiration = new Date(Date.now() + 3_600_000);
  const cloud = openCloud({
    cluster: 'demo',
    instanceId: 'i-self',
    credentials: () =>
      Promise.resolve({ accessKeyId: 'id', secretAccessKey: 'secret', sessionToken: 't', expiration }),
    endpoint: ec2.endpoint,
    region: 'us-east-1',
    p2pPort: 4001,
  });
  const facts: Fact[] = [];
  const means = {
    clock: systemClock,
    cloud,
    report: (fact: Fact) => void facts.push(fact),
    rng: { seed: 1 },
    stopping: new AbortController().signal,
  };
  try {
    await tagSelf(means, node);
    await run({ cloud, ec2, facts, leave: () => untagSelf({ ...means, ms: 5_000 }) });
  } finally {
    cloud.close();
  }
}

type Seen = { readonly admits: boolean; readonly binds: boolean };

/** What a peer does with this answer of EC2, having met nobody yet; it dials whom it binds. */
function peerSees(listed: readonly Listed[]): Seen {
  const options = {
    selfId: memberId('i-peer'),
    selfPeerId: 'peer-of-its-own',
    listing: 'shared' as const,
    discoveryMs: 30_000,
    epochOffsetMs: 0,
  };
  const state = init(options, { seed: 1 }, instant(0));
  let now = instant(0);
  while (!state.plan.looking) step(state, { type: 'tick' }, (now = deadline(state)));
  const [, effects] = step(state, { type: 'looked', listed }, now);
  return { admits: isAdmitted(state, peerId), binds: effects.some(({ type }) => type === 'bound') };
}

async function seenByPeer({ cloud }: Tagged): Promise<Seen> {
  const sightings = await cloud.sightings(AbortSignal.timeout(30_000));
  return peerSees(sightings.map(({ instanceId, ...rest }) => ({ id: memberId(instanceId), ...rest })));
}

test('[B9] a tagged node is dialled and admitted by its peers, one that left is neither', () =>
  tagged(async (instance) => {
    deepEqual(await seenByPeer(instance), { admits: true, binds: true });
    await instance.leave();
    deepEqual([...instance.ec2.instances[0]!.tags.keys()].toSorted(), [
      'Name',
      'SynktiNodeId',
      'SynktiState',
    ]);
    deepEqual(await seenByPeer(instance), { admits: false, binds: false });
  }));

test('[B9] where the policy forbids deleting tags, the state alone keeps peers away', () =>
  tagged(async (instance) => {
    instance.ec2.refusals.set('DeleteTags', [unauthorized]);
    await instance.leave();
    equal(instance.ec2.instances[0]?.tags.get('SynktiState'), 'left');
    equal(instance.ec2.instances[0]?.tags.get('SynktiCluster'), 'demo');
    deepEqual(await seenByPeer(instance), { admits: false, binds: false });
    deepEqual(
      instance.facts.map(({ fact }) => fact),
      ['node.untagged'],
    );
  }));
