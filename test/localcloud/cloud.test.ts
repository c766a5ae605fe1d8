import { deepEqual, equal, match, rejects, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { DescribeInstancesCommand, EC2Client } from '@aws-sdk/client-ec2';
import { usualCloud } from '../../src/localcloud/cloud-options.ts';
import { startRig, until } from './rig.ts';

test('an interruption ends at its deadline with every process of the instance killed together', async () => {
  await using rig = await startRig();
  const [victim, other] = await rig.boot(2);
  const shown = await rig.operate('interrupt', { instance: victim!.id, noticeMs: 20_000 });
  equal(shown.notice?.time, rig.clock.wallNow() + 20_000);
  await rig.pass(19_999);
  deepEqual(rig.hosts.machines.get(victim!.id)?.processes, { daemon: 'running', engine: 'running' });
  await rig.pass(1);
  deepEqual(rig.hosts.machines.get(victim!.id)?.processes, { daemon: 'gone', engine: 'gone' });
  deepEqual(rig.hosts.alive(), [other!.id]);
  const ec2 = new EC2Client(rig.sdk);
  const { Reservations } = await ec2.send(new DescribeInstancesCommand({ InstanceIds: [victim!.id] }));
  equal(Reservations?.[0]?.Instances?.[0]?.StateReason?.Code, 'Server.SpotInstanceTermination');
});

test('without notice the end comes at once', async () => {
  await using rig = await startRig();
  const [victim] = await rig.boot(1);
  await rig.operate('interrupt', { instance: victim!.id, noticeMs: 0 });
  await rig.pass(0);
  deepEqual(rig.hosts.alive(), []);
});

test('a daemon that drains and exits leaves its instance to be reclaimed at the deadline', async () => {
  await using rig = await startRig();
  const [victim] = await rig.boot(1);
  await rig.operate('interrupt', { instance: victim!.id, noticeMs: 20_000 });
  await rig.pass(5_000);
  await rig.hosts.signal(victim!.id, 'daemon', 'SIGKILL');
  rig.cloud.exited(victim!.id);
  const [instance] = await rig.operate('instances', {});
  equal(instance?.phase, 'running');
  equal(instance?.exited, true);
  await rig.pass(15_000);
  deepEqual(rig.hosts.alive(), []);
});

test('an instance that is set to end with its daemon does, engine and all', async () => {
  await using rig = await startRig({ terminateOnExit: true });
  const [victim] = await rig.boot(1);
  rig.cloud.exited(victim!.id);
  await rig.pass(0);
  deepEqual(rig.hosts.alive(), []);
});

test('hibernation freezes everything and cuts the instance off; stopping kills', async () => {
  await using rig = await startRig({ group: { ...usualCloud.group, replaceAfterMs: 600_000 } });
  const [cold, off] = await rig.boot(2);
  await rig.operate('interrupt', { instance: cold!.id, action: 'hibernate' });
  await rig.operate('interrupt', { instance: off!.id, action: 'stop', noticeMs: 1_000 });
  await rig.pass(0);
  deepEqual(rig.hosts.machines.get(cold!.id)?.processes, { daemon: 'frozen', engine: 'frozen' });
  equal(rig.hosts.machines.get(cold!.id)?.isolated, true);
  await rig.pass(1_000);
  deepEqual(rig.hosts.machines.get(off!.id)?.processes, { daemon: 'gone', engine: 'gone' });
});

test('an interruption that AWS fails to carry out leaves the notice in the past', async () => {
  await using rig = await startRig();
  const [victim] = await rig.boot(1);
  await rig.operate('interrupt', { instance: victim!.id, noticeMs: 5_000, reclaims: false });
  await rig.pass(60_000);
  const [instance] = await rig.operate('instances', {});
  equal(instance?.phase, 'running');
  equal(instance!.notice!.time < rig.clock.wallNow(), true);
});

test('daemon and engine can be killed, frozen and thawed alone', async () => {
  await using rig = await startRig();
  const [one] = await rig.boot(1);
  const { processes } = rig.hosts.machines.get(one!.id)!;
  await rig.operate('freeze', { instance: one!.id, which: 'daemon' });
  await rig.pass(0);
  deepEqual(processes, { daemon: 'frozen', engine: 'running' });
  await rig.operate('thaw', { instance: one!.id, which: 'daemon' });
  await rig.operate('kill', { instance: one!.id, which: 'engine' });
  await rig.pass(0);
  deepEqual(processes, { daemon: 'running', engine: 'gone' });
  equal((await rig.operate('instances', {}))[0]?.phase, 'running');
});

test('a partition is the hosts to make and to heal', async () => {
  await using rig = await startRig();
  const [one] = await rig.boot(1);
  equal((await rig.operate('partition', { instance: '0' })).isolated, true);
  await rig.pass(0);
  equal(rig.hosts.machines.get(one!.id)?.isolated, true);
  await rig.operate('heal', { instance: '0' });
  await rig.pass(0);
  equal(rig.hosts.machines.get(one!.id)?.isolated, false);
});

test('errors, delays and dropped connections hit one service of one instance only', async () => {
  await using rig = await startRig();
  const ec2 = new EC2Client(rig.sdk);
  const ask = (): Promise<unknown> => ec2.send(new DescribeInstancesCommand({ MaxResults: 5 }));
  await rig.operate('fault', { service: 'ec2', operation: 'DescribeInstances', fail: 503, times: 1 });
  await rejects(ask(), { name: 'Unavailable' });
  await ask();
  await rig.operate('fault', { service: 'ec2', fail: 'drop', times: 1 });
  await rejects(ask(), { code: 'ECONNRESET' });
  const [one] = await rig.boot(1);
  await rig.operate('fault', { service: 'ec2', fail: 500, instance: one!.id });
  await ask();
  equal((await rig.operate('faults', {})).length, 1);
});

test('an instance whose processes do not start is terminated, and the group tries again', async () => {
  await using rig = await startRig();
  rig.hosts.launches.push('fail');
  await rig.operate('capacity', { desired: 1 });
  await rig.pass(1_000);
  await until(() => rig.facts.some(({ fact }) => fact === 'cloud.host.failed'));
  await rig.pass(1_000);
  deepEqual(
    (await rig.operate('instances', {})).map(({ phase, cause }) => [phase, cause]),
    [['terminated', 'launch']],
  );
  await rig.pass(10_000);
  await until(() => rig.hosts.alive().length === 1);
});

test('a kill does not wait for a launch that hangs, and nothing is left of it', async () => {
  await using rig = await startRig();
  rig.hosts.launches.push('hang');
  const [id] = rig.cloud.runInstances(1);
  await rig.pass(1_000);
  await rig.operate('kill', { instance: id! });
  await rig.pass(1_000);
  equal((await rig.operate('instances', {}))[0]?.phase, 'terminated');
  await until(() => rig.hosts.machines.has(id!));
  await until(() => rig.hosts.alive().length === 0);
});

test('an operation on an instance that does not run, or is condemned, is refused and changes nothing', async () => {
  await using rig = await startRig({ template: { ...usualCloud.template, lifecycle: 'on-demand' } });
  const [one] = await rig.boot(1);
  await rejects(rig.operate('interrupt', { instance: one!.id }), { kind: 'denied', message: /not a spot/ });
  await rig.operate('kill', { instance: one!.id });
  await rejects(rig.operate('freeze', { instance: one!.id }), { kind: 'denied', message: /shutting-down/ });
  await rejects(rig.operate('freeze', { instance: '7' }), { kind: 'missing', message: /no such instance/ });

  await using spot = await startRig();
  const [victim] = await spot.boot(1);
  await spot.operate('interrupt', { instance: victim!.id });
  await rejects(spot.operate('interrupt', { instance: victim!.id }), { kind: 'denied' });
});

test('more instances than the group holds are refused', async () => {
  await using rig = await startRig({ group: { ...usualCloud.group, max: 2 } });
  throws(() => rig.cloud.runInstances(3), { kind: 'denied' });
  await rejects(rig.operate('capacity', { desired: 3 }), { kind: 'invalid', message: /between 0 and 2/ });
});

test('the same seed gives the same instances', async () => {
  const launched = async () => {
    await using rig = await startRig();
    return rig.cloud.runInstances(3);
  };
  const ids = await launched();
  deepEqual(await launched(), ids);
  match(ids[0]!, /^i-[0-9a-f]{17}$/);
});

test('closing kills what still runs, frees every port and may be asked twice', async () => {
  await using rig = await startRig();
  const [one] = await rig.boot(3);
  await Promise.all([rig.cloud.close(), rig.cloud.close()]);
  deepEqual(rig.hosts.alive(), []);
  await rejects(fetch(rig.cloud.endpoint));
  await rejects(fetch(one!.imdsEndpoint));
});
