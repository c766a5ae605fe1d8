import { createVerify } from 'node:crypto';
import { deepEqual, equal, match, notEqual, ok, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import { fromInstanceMetadata } from '@aws-sdk/credential-providers';
import { EC2Client, CreateTagsCommand } from '@aws-sdk/client-ec2';
import { STSClient, GetCallerIdentityCommand } from '@aws-sdk/client-sts';
import { usualCloud } from '../../src/localcloud/cloud-options.ts';
import { startRig, until, type Rig } from './rig.ts';

const ttlHeader = 'x-aws-ec2-metadata-token-ttl-seconds';
const tokenHeader = 'x-aws-ec2-metadata-token';

const putToken = (
  imds: string,
  headers: Record<string, string> = { [ttlHeader]: '21600' },
): Promise<Response> => fetch(`${imds}/latest/api/token`, { method: 'PUT', headers });

/** Asks the metadata service of one instance, with a token taken at the start. */
async function reader(imds: string) {
  const token = await (await putToken(imds)).text();
  const response = (path: string, init: RequestInit = {}): Promise<Response> =>
    fetch(`${imds}/latest/${path}`, { ...init, headers: { [tokenHeader]: token } });
  const text = async (path: string): Promise<string> => {
    const answer = await response(path);
    equal(answer.status, 200, `${path}: ${answer.status}`);
    return answer.text();
  };
  const status = async (path: string): Promise<number> => (await response(path)).status;
  return { token, response, text, status };
}

async function bootOne(rig: Rig) {
  const [launch] = await rig.boot(1);
  return { launch: launch!, imds: await reader(launch!.imdsEndpoint), endpoint: launch!.imdsEndpoint };
}

test('a token is asked for by PUT with a time to live between a second and six hours', async () => {
  await using rig = await startRig();
  const { endpoint } = await bootOne(rig);
  const good = await putToken(endpoint, { [ttlHeader]: '60' });
  equal(good.status, 200);
  equal(good.headers.get(ttlHeader), '60');
  for (const ttl of ['0', '21601', '-1', 'soon', ''])
    equal((await putToken(endpoint, { [ttlHeader]: ttl })).status, 400, ttl);
  equal((await putToken(endpoint, {})).status, 400);
});

test('a token is refused to whoever comes through a proxy', async () => {
  await using rig = await startRig();
  const { endpoint } = await bootOne(rig);
  const proxied = await putToken(endpoint, { [ttlHeader]: '60', 'x-forwarded-for': '10.0.0.1' });
  equal(proxied.status, 403);
});

test('without a good token there is nothing: no version 1, no foreign, forged or expired token', async () => {
  await using rig = await startRig();
  const [a, b] = await rig.boot(2);
  const path = `${a!.imdsEndpoint}/latest/meta-data/instance-id`;
  equal((await fetch(path)).status, 401);
  const foreign = await (await putToken(b!.imdsEndpoint)).text();
  const short = await (await putToken(a!.imdsEndpoint, { [ttlHeader]: '60' })).text();
  const ask = async (token: string): Promise<number> =>
    (await fetch(path, { headers: { [tokenHeader]: token } })).status;
  equal(await ask(foreign), 401);
  equal(await ask('forged'), 401);
  equal(await ask(short), 200);
  await rig.pass(60_000);
  equal(await ask(short), 401);
});

test('every answer says how long the token is still good for', async () => {
  await using rig = await startRig();
  const { endpoint } = await bootOne(rig);
  const token = await (await putToken(endpoint, { [ttlHeader]: '60' })).text();
  await rig.pass(10_000);
  const answer = await fetch(`${endpoint}/latest/meta-data/mac`, { headers: { [tokenHeader]: token } });
  equal(answer.headers.get(ttlHeader), '50');
});

test('an instance reads who and where it is', async () => {
  await using rig = await startRig();
  const { launch, imds } = await bootOne(rig);
  equal(await imds.text('meta-data/instance-id'), launch.id);
  equal(await imds.text('meta-data/instance-type'), 'g5.xlarge');
  equal(await imds.text('meta-data/instance-life-cycle'), 'spot');
  equal(await imds.text('meta-data/local-ipv4'), launch.privateIp);
  match(await imds.text('meta-data/ami-id'), /^ami-/);
  equal(await imds.text('meta-data/placement/region'), 'us-east-1');
  equal(await imds.text('meta-data/placement/availability-zone'), 'us-east-1a');
  equal(await imds.text('meta-data/placement/availability-zone-id'), 'use1-az1');
  const mac = await imds.text('meta-data/mac');
  equal(await imds.text(`meta-data/network/interfaces/macs/${mac}/local-ipv4s`), launch.privateIp);
  match(await imds.text(`meta-data/network/interfaces/macs/${mac}/vpc-id`), /^vpc-/);
});

test('directories list what is in them, HEAD answers without a body, other methods are refused', async () => {
  await using rig = await startRig();
  const { imds } = await bootOne(rig);
  deepEqual((await imds.text('meta-data/placement/')).split('\n'), [
    'availability-zone',
    'availability-zone-id',
    'region',
  ]);
  ok((await imds.text('meta-data/')).split('\n').includes('placement/'));
  equal(await imds.status('meta-data/mac/'), 404);
  equal(await imds.status('meta-data/%zz'), 404);
  equal(await imds.status('meta-data/__proto__'), 404);
  const head = await imds.response('meta-data/mac', { method: 'HEAD' });
  equal(head.status, 200);
  equal(await head.text(), '');
  equal((await imds.response('meta-data/mac', { method: 'POST' })).status, 405);
});

test('what is not there is a 404 with an XHTML page', async () => {
  await using rig = await startRig();
  const { imds } = await bootOne(rig);
  for (const path of ['spot/instance-action', 'spot/termination-time', 'events/recommendations/rebalance']) {
    const answer = await imds.response(`meta-data/${path}`);
    equal(answer.status, 404);
    match(await answer.text(), /^<\?xml .*404 - Not Found/s);
  }
  equal(await imds.text('meta-data/events/maintenance/scheduled'), '[]');
  equal(await imds.text('meta-data/events/maintenance/history'), '[]');
});

test('the instance sees its own tags at once, whatever the API shows', async () => {
  await using rig = await startRig({ timings: { ...usualCloud.timings, lagMs: 60_000 } });
  const ids = rig.cloud.runInstances(1);
  await rig.pass(120_000);
  const imds = await reader(rig.hosts.machines.get(ids[0]!)!.launch.imdsEndpoint);
  equal(await imds.text('meta-data/tags/instance/'), 'aws:autoscaling:groupName');
  equal(await imds.status('meta-data/tags/instance/SynktiRole'), 404);
  const ec2 = new EC2Client(rig.sdk);
  await ec2.send(
    new CreateTagsCommand({ Resources: [ids[0]!], Tags: [{ Key: 'SynktiRole', Value: 'worker' }] }),
  );
  equal(await imds.text('meta-data/tags/instance/SynktiRole'), 'worker');
});

test('the SDK takes its credentials from the service, and they are those of this instance', async () => {
  await using rig = await startRig();
  const { launch, imds, endpoint } = await bootOne(rig);
  equal(await imds.text('meta-data/iam/security-credentials/'), 'synkti-node');
  process.env['AWS_EC2_METADATA_SERVICE_ENDPOINT'] = endpoint;
  try {
    const credentials = await fromInstanceMetadata({ timeout: 2_000, maxRetries: 0 })();
    const sts = new STSClient({ ...rig.sdk, credentials });
    const identity = await sts.send(new GetCallerIdentityCommand({}));
    equal(identity.Arn, `arn:aws:sts::111122223333:assumed-role/synkti-node/${launch.id}`);
  } finally {
    delete process.env['AWS_EC2_METADATA_SERVICE_ENDPOINT'];
  }
});

test('credentials rotate before they expire, the old ones work until then, and die with the instance', async () => {
  await using rig = await startRig({ credentialsTtlMs: 400_000 });
  const { launch, imds } = await bootOne(rig);
  const shown = async (): Promise<Record<string, string>> =>
    JSON.parse(await imds.text('meta-data/iam/security-credentials/synkti-node')) as Record<string, string>;
  const whoami = (given: Record<string, string>): Promise<unknown> =>
    new STSClient({
      ...rig.sdk,
      credentials: {
        accessKeyId: given['AccessKeyId']!,
        secretAccessKey: given['SecretAccessKey']!,
        sessionToken: given['Token']!,
      },
    }).send(new GetCallerIdentityCommand({}));
  const first = await shown();
  equal((await shown())['AccessKeyId'], first['AccessKeyId']);
  await rig.pass(310_000);
  const second = await shown();
  notEqual(second['AccessKeyId'], first['AccessKeyId']);
  await whoami(first);
  await rig.pass(100_000);
  await rejects(whoami(first), { name: 'ExpiredToken' });
  await whoami(second);
  await rig.operate('kill', { instance: launch.id });
  await rig.pass(1_000);
  await rejects(whoami(second), { name: 'InvalidClientTokenId' });
});

test('the identity document is signed by the key that the cloud publishes', async () => {
  await using rig = await startRig();
  const { launch, imds } = await bootOne(rig);
  const document = await imds.text('dynamic/instance-identity/document');
  equal((JSON.parse(document) as Record<string, string>)['instanceId'], launch.id);
  const signature = Buffer.from(await imds.text('dynamic/instance-identity/signature'), 'base64');
  const key = await rig.cloud.identityKey();
  ok(createVerify('RSA-SHA256').update(document).verify(key, signature));
  ok(!createVerify('RSA-SHA256').update(`${document} `).verify(key, signature));
});

test('an interruption shows as action and time, a recommendation before it, and only to the one it is about', async () => {
  await using rig = await startRig();
  const [a, b] = await rig.boot(2);
  const [imds, other] = [await reader(a!.imdsEndpoint), await reader(b!.imdsEndpoint)];
  await rig.operate('interrupt', { instance: a!.id, noticeMs: 20_000, rebalanceFirstMs: 3_000 });
  const recommended = JSON.parse(await imds.text('meta-data/events/recommendations/rebalance')) as object;
  deepEqual(Object.keys(recommended), ['noticeTime']);
  equal(await imds.status('meta-data/spot/instance-action'), 404);
  await rig.pass(3_000);
  const notice = JSON.parse(await imds.text('meta-data/spot/instance-action')) as Record<string, string>;
  equal(notice['action'], 'terminate');
  match(notice['time']!, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  const ahead = Date.parse(notice['time']!) - rig.clock.wallNow();
  ok(ahead > 18_999 && ahead <= 20_000, `${ahead} ms`);
  equal(await imds.text('meta-data/spot/termination-time'), notice['time']);
  equal(await other.status('meta-data/spot/instance-action'), 404);
});

test('a stop has no termination time', async () => {
  await using rig = await startRig();
  const { launch, imds } = await bootOne(rig);
  await rig.operate('interrupt', { instance: launch.id, action: 'stop' });
  const notice = JSON.parse(await imds.text('meta-data/spot/instance-action')) as Record<string, string>;
  equal(notice['action'], 'stop');
  equal(await imds.status('meta-data/spot/termination-time'), 404);
});

test('scheduled maintenance shows in the form of AWS, and in the history once it is called off', async () => {
  await using rig = await startRig();
  const { launch, imds } = await bootOne(rig);
  await rig.operate('maintenance', { instance: launch.id, code: 'instance-retirement', inMs: 60_000 });
  const scheduled = JSON.parse(await imds.text('meta-data/events/maintenance/scheduled')) as Record<
    string,
    string
  >[];
  equal(scheduled.length, 1);
  equal(scheduled[0]!['Code'], 'instance-retirement');
  equal(scheduled[0]!['State'], 'active');
  match(scheduled[0]!['NotBefore']!, /^\d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/);
  await rig.operate('maintenance', { instance: launch.id, code: 'none' });
  equal(await imds.text('meta-data/events/maintenance/scheduled'), '[]');
  match(await imds.text('meta-data/events/maintenance/history'), /canceled/);
});

test('a storm of 401, errors, delays and dropped connections hit the metadata service as ordered', async () => {
  await using rig = await startRig();
  const { launch, imds } = await bootOne(rig);
  const path = 'meta-data/instance-id';
  await rig.operate('fault', { service: 'imds', instance: launch.id, fail: 401, times: 2 });
  deepEqual([await imds.status(path), await imds.status(path), await imds.status(path)], [401, 401, 200]);
  await rig.operate('fault', { service: 'imds', operation: 'meta-data/spot/*', fail: 503, times: 1 });
  equal(await imds.status(path), 200);
  equal(await imds.status('meta-data/spot/instance-action'), 503);
  await rig.operate('fault', { service: 'imds', fail: 'drop', times: 1 });
  await rejects(imds.response(path), TypeError);
  await rig.operate('fault', { service: 'imds', delayMs: 5_000, times: 1 });
  const waiting = rig.clock.waiting();
  let answered = false;
  const slow = imds.text(path).then(() => (answered = true));
  await until(() => rig.clock.waiting() > waiting);
  equal(answered, false);
  await rig.pass(5_000);
  equal(await slow, true);
});

test('the service is gone when its instance is', async () => {
  await using rig = await startRig();
  const { launch, imds } = await bootOne(rig);
  await rig.operate('kill', { instance: launch.id });
  await rig.pass(1_000);
  await rejects(imds.response('meta-data/instance-id'), TypeError);
});
