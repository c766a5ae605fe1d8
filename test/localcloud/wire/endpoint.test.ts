/** The one port of all services: who may call, what the refused are told, and in which words. */
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { GetParameterCommand, PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { deepEqual, equal, match } from 'node:assert/strict';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { openSsm } from '../../../src/localcloud/ssm.ts';
import { openSts } from '../../../src/localcloud/sts.ts';
import type { Api, Call } from '../../../src/localcloud/wire/call.ts';
import { openCredentialTable, type CredentialTable } from '../../../src/localcloud/wire/credentials.ts';
import { openEndpoint, type Endpoint } from '../../../src/localcloud/wire/endpoint.ts';
import { listed, queryApi, records } from '../../../src/localcloud/wire/query-api.ts';
import { wallTime } from '../../../src/std/time.ts';
import { systemClock } from '../../../src/os/clock.ts';
import { refusalOf } from '../s3-rig.ts';

const account = '111122223333';
const secret = 'a secret of the test';
const region = 'us-east-1';

type Settings = {
  readonly endpoint: string;
  readonly region: string;
  readonly maxAttempts: number;
  readonly credentials: {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken?: string;
  };
};

type Rig = AsyncDisposable & {
  readonly endpoint: Endpoint;
  readonly credentials: CredentialTable;
  readonly reported: unknown[];
  settings(key: string, more?: { secret?: string; token?: string }): Settings;
};

async function openRig(more: readonly Api[] = []): Promise<Rig> {
  const credentials = openCredentialTable(() => systemClock.wallNow());
  const reported: unknown[] = [];
  const ssm = openSsm({ account, region, clock: systemClock });
  const sts = openSts({ account, roleOf: () => 'synkti-node' });
  const report = (error: unknown): void => void reported.push(error);
  const apis = [ssm, sts, ...more];
  const endpoint = await openEndpoint({
    apis,
    credentials,
    clock: systemClock,
    faults: { before: () => null },
    host: '127.0.0.1',
    port: 0,
    report,
  });
  const issue = (key: string, instanceId: string | null, sessionToken: string | null): void =>
    credentials.issue(key, { secret, sessionToken, instanceId, expiresAt: null });
  issue('AKIAOPERATOR', null, null);
  issue('ASIANODE', 'i-0abc', 'token of i-0abc');
  return {
    endpoint,
    credentials,
    reported,
    settings: (accessKeyId, { secret: other = secret, token } = {}) => ({
      endpoint: endpoint.url,
      region,
      maxAttempts: 1,
      credentials: {
        accessKeyId,
        secretAccessKey: other,
        ...(token === undefined ? {} : { sessionToken: token }),
      },
    }),
    [Symbol.asyncDispose]: endpoint.close,
  };
}

test('an instance is known by its credentials, the operator by its own', async () => {
  await using rig = await openRig();
  const identify = async (settings: Parameters<Rig['settings']>): Promise<unknown> => {
    const client = new STSClient(rig.settings(...settings));
    const { Account, Arn, UserId } = await client.send(new GetCallerIdentityCommand({}));
    return [Account, Arn, UserId];
  };
  deepEqual(await identify(['ASIANODE', { token: 'token of i-0abc' }]), [
    account,
    `arn:aws:sts::${account}:assumed-role/synkti-node/i-0abc`,
    'AROALOCALCLOUDROLE00:i-0abc',
  ]);
  deepEqual(await identify(['AKIAOPERATOR']), [
    account,
    `arn:aws:iam::${account}:user/operator`,
    'AKIAOPERATOR',
  ]);
});

test('each family of services refuses in its own words', async () => {
  await using rig = await openRig([
    { name: 's3', dialect: 'rest-xml', operation: () => 'GetObject', answer },
  ]);
  const expired = { secret, sessionToken: null, instanceId: null, expiresAt: wallTime(Date.now() - 1) };
  rig.credentials.issue('AKIAEXPIRED', expired);
  const codes = async (...settings: Parameters<Rig['settings']>): Promise<unknown> => {
    const config = rig.settings(...settings);
    const s3 = new S3Client({ ...config, forcePathStyle: true });
    return [
      await refusalOf(new STSClient(config).send(new GetCallerIdentityCommand({}))),
      await refusalOf(new SSMClient(config).send(new GetParameterCommand({ Name: 'a' }))),
      await refusalOf(s3.send(new GetObjectCommand({ Bucket: 'b', Key: 'k' }))),
    ].map(({ code, status }) => `${status} ${code}`);
  };
  deepEqual(await codes('AKIANOBODY'), [
    '403 InvalidClientTokenId',
    '400 UnrecognizedClientException',
    '403 InvalidAccessKeyId',
  ]);
  deepEqual(await codes('AKIAOPERATOR', { secret: 'another' }), [
    '403 SignatureDoesNotMatch',
    '400 InvalidSignatureException',
    '403 SignatureDoesNotMatch',
  ]);
  deepEqual(await codes('ASIANODE', { token: 'of another' }), [
    '403 InvalidClientTokenId',
    '400 UnrecognizedClientException',
    '400 InvalidToken',
  ]);
  deepEqual(await codes('AKIAEXPIRED'), [
    '403 ExpiredToken',
    '400 ExpiredTokenException',
    '400 ExpiredToken',
  ]);
  deepEqual(rig.reported, []);
});

test('a call without a signature is refused in the words it will understand', async () => {
  await using rig = await openRig();
  const form = { 'content-type': 'application/x-www-form-urlencoded' };
  const ask = async (init: RequestInit): Promise<unknown> => {
    const answer = await fetch(rig.endpoint.url, init);
    return [answer.status, /AccessDenied|MissingAuthenticationToken\w*/.exec(await answer.text())?.[0]];
  };
  deepEqual(await ask({}), [403, 'AccessDenied']);
  deepEqual(await ask({ method: 'POST', headers: form, body: 'Action=X' }), [
    403,
    'MissingAuthenticationToken',
  ]);
  deepEqual(await ask({ method: 'POST', headers: { 'x-amz-target': 'AmazonSSM.X' }, body: '{}' }), [
    400,
    'MissingAuthenticationTokenException',
  ]);
});

const answer = (): Promise<never> => Promise.reject(new Error('a bug'));

test('a bug of the emulator is a 500 to the caller and a report to the owner', async () => {
  await using rig = await openRig([
    { name: 's3', dialect: 'rest-xml', operation: () => 'GetObject', answer },
  ]);
  const s3 = new S3Client({ ...rig.settings('AKIAOPERATOR'), forcePathStyle: true });
  const refused = await refusalOf(s3.send(new GetObjectCommand({ Bucket: 'b', Key: 'k' })));
  deepEqual([refused, rig.reported.length], [{ code: 'InternalError', status: 500 }, 1]);
});

test('a body that is too long for a form is refused before it is read to its end', async () => {
  await using rig = await openRig();
  const ssm = new SSMClient(rig.settings('AKIAOPERATOR'));
  const put = new PutParameterCommand({ Name: 'a', Type: 'String', Value: 'x'.repeat(2_000_000) });
  equal((await refusalOf(ssm.send(put))).status, 413);
  const small = new PutParameterCommand({ Name: 'a', Type: 'String', Value: 'x' });
  equal((await ssm.send(small)).Version, 1);
});

test('garbage on the socket harms nobody', async () => {
  await using rig = await openRig();
  const socket = connect(rig.endpoint.port, '127.0.0.1');
  socket.end('this is not HTTP\r\n\r\n');
  match(await text(socket), /^HTTP\/1.1 400/);
  equal((await fetch(rig.endpoint.url)).status, 403);
  deepEqual(rig.reported, []);
});

test('numbered fields are read in the order of their numbers, with and without .member', async () => {
  const fields = new Map([
    ['Filter.2.Name', 'b'],
    ['Filter.10.Name', 'c'],
    ['Filter.1.Name', 'a'],
    ['Filter.1.Value.2', 'y'],
    ['Filter.1.Value.1', 'x'],
    ['Tags.member.1.Key', 'k'],
    ['InstanceId.1', 'i-1'],
    ['InstanceIdentity', 'no'],
  ]);
  deepEqual(
    records(fields, 'Filter').map((record) => record.get('Name')),
    ['a', 'b', 'c'],
  );
  deepEqual(listed(records(fields, 'Filter')[0]!, 'Value'), ['x', 'y']);
  deepEqual([records(fields, 'Tags')[0]!.get('Key'), listed(fields, 'InstanceId')], ['k', ['i-1']]);
});

test('an operation that an API does not have is refused by name', async () => {
  const api = queryApi({ name: 'sts', dialect: 'query', namespace: 'urn:x', operations: {} });
  const call = { text: 'Action=constructor', requestId: '1' } as Call;
  equal(api.operation(call), 'Unknown');
  equal(await api.answer(call).catch((error: { code: string }) => error.code), 'InvalidAction');
});
