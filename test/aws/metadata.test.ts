import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import { awaitCredentials, roleCredentials } from '../../src/aws/credentials.ts';
import { openImds, type Imds } from '../../src/aws/imds.ts';
import { clusterTag, identify, noticesFrom } from '../../src/aws/metadata.ts';
import type { Path } from '../../src/spot/notices.ts';
import { FakeImds } from './fake-imds.ts';

const soon = (): AbortSignal => AbortSignal.timeout(3_000);

const document = `{
\t"accountId" : "111122223333",
\t"instanceId" : "i-1",
\t"region" : "us-east-1",
\t"availabilityZone" : "us-east-1b",
\t"privateIp" : "10.0.0.1",
\t"instanceType" : "g5.xlarge"
}`;

async function met(run: (imds: Imds, fake: FakeImds) => Promise<void>): Promise<void> {
  await using fake = await FakeImds.start();
  const imds = openImds(fake.endpoint);
  try {
    await run(imds, fake);
  } finally {
    await imds.close();
  }
}

test('an instance knows itself from its document, and one without it is none', () =>
  met(async (imds, fake) => {
    await rejects(identify(imds, soon()), { kind: 'missing' });
    fake.tree.set('dynamic/instance-identity/document', document);
    deepEqual(await identify(imds, soon()), {
      instanceId: 'i-1',
      zone: 'us-east-1b',
      region: 'us-east-1',
      privateIp: '10.0.0.1',
    });
    fake.tree.set('dynamic/instance-identity/document', '{}');
    await rejects(identify(imds, soon()), { kind: 'invalid' });
  }));

test('an instance knows its cluster by its tag, where it has one and shows it, and looks at no other', () =>
  met(async (imds, fake) => {
    equal(await clusterTag(imds, soon()), null);
    fake.tree
      .set('meta-data/tags/instance', 'Name\nSynktiCluster')
      .set('meta-data/tags/instance/SynktiCluster', 'demo\n');
    fake.reads.length = 0;
    equal(await clusterTag(imds, soon()), 'demo');
    deepEqual(fake.reads, ['meta-data/tags/instance/SynktiCluster']);
  }));

const at = Date.UTC(2026, 10, 21, 8, 22);
const readings: readonly (readonly [Path, where: string, text: string, expected: unknown])[] = [
  [
    'instance-action',
    'meta-data/spot/instance-action',
    '{"action": "terminate", "time": "2026-11-21T08:22:00Z"}',
    { path: 'instance-action', action: 'terminate', time: at },
  ],
  [
    'instance-action',
    'meta-data/spot/instance-action',
    '\n{\n\t"action": "hibernate",\n\t"time": " 2026-11-21T08:22:00Z "\n}\n',
    { path: 'instance-action', action: 'hibernate', time: at },
  ],
  [
    'instance-action',
    'meta-data/spot/instance-action',
    '{"action":"stop","time":"soon"}',
    { path: 'instance-action', action: 'stop', time: Infinity },
  ],
  [
    'rebalance',
    'meta-data/events/recommendations/rebalance',
    '{"noticeTime": "2026-11-21T08:22:00Z"}',
    { path: 'rebalance', noticeTime: at },
  ],
  [
    'maintenance',
    'meta-data/events/maintenance/scheduled',
    `[{"NotBefore": "21 Nov 2026 08:22:00 GMT", "Code": "system-reboot", "Description": "x", "EventId": "e-1",
       "NotAfter": "21 Nov 2026 09:22:00 GMT", "State": "active"},
      {"NotBefore": "21 Nov 2026 08:22:00 GMT", "Code": "instance-stop", "State": "canceled"}]`,
    {
      path: 'maintenance',
      events: [
        { code: 'system-reboot', notBefore: at, active: true },
        { code: 'instance-stop', notBefore: at, active: false },
      ],
    },
  ],
  ['maintenance', 'meta-data/events/maintenance/scheduled', '[]', { path: 'maintenance', events: [] }],
  [
    'lifecycle',
    'meta-data/autoscaling/target-lifecycle-state',
    'Terminated\n',
    { path: 'lifecycle', target: 'Terminated' },
  ],
];

for (const [path, where, text, expected] of readings) {
  test(`${path} reads ${JSON.stringify(text.slice(0, 40))}, and nothing before it is there`, () =>
    met(async (imds, fake) => {
      equal(await noticesFrom(imds)(path, soon()), null);
      fake.tree.set(where, text);
      deepEqual(await noticesFrom(imds)(path, soon()), expected);
    }));
}

test('an answer that makes no sense is a failure, never the absence of a notice', () =>
  met(async (imds, fake) => {
    for (const text of ['', 'terminate', '{"action":7}', '<html>', '[]']) {
      fake.tree.set('meta-data/spot/instance-action', text);
      await rejects(noticesFrom(imds)('instance-action', soon()), { kind: 'invalid' });
    }
  }));

const folder = 'meta-data/iam/security-credentials/';
const issued = (id: string, leftMs: number): string =>
  JSON.stringify({
    Code: 'Success',
    AccessKeyId: id,
    SecretAccessKey: 'top-secret',
    Token: 'token',
    Expiration: new Date(Date.now() + leftMs).toISOString(),
  });

test('the credentials of the role are fetched once for all, and again before they end', () =>
  met(async (imds, fake) => {
    fake.tree.set(folder, 'worker').set(`${folder}worker`, issued('first', 3_600_000));
    const credentials = roleCredentials(imds);
    const all = await Promise.all([credentials(), credentials(), credentials()]);
    deepEqual(
      all.map(({ accessKeyId }) => accessKeyId),
      ['first', 'first', 'first'],
    );
    equal(fake.reads.filter((path) => path === `${folder}worker`).length, 1);

    fake.tree.set(`${folder}worker`, issued('short', 200));
    const other = roleCredentials(imds);
    equal((await other()).accessKeyId, 'short');
    fake.tree.set(`${folder}worker`, issued('second', 3_600_000));
    const started = performance.now();
    while ((await other()).accessKeyId !== 'second') ok(performance.now() - started < 2_000, 'never renewed');
    ok(performance.now() - started > 100, 'not while the first ones are good');
  }));

test('a start waits for a role that was just attached, and ends where there is none', () =>
  met(async (imds, fake) => {
    const credentials = roleCredentials(imds);
    await rejects(awaitCredentials(credentials, AbortSignal.timeout(600)), { message: /has no role$/ });
    const waiting = awaitCredentials(credentials, AbortSignal.timeout(10_000));
    fake.tree.set(folder, 'worker').set(`${folder}worker`, issued('late', 3_600_000));
    await waiting;
    equal((await credentials()).accessKeyId, 'late');
  }));

test('a start does not end because the metadata service is poorly', () =>
  met(async (imds, fake) => {
    fake.mood = 503;
    await awaitCredentials(roleCredentials(imds), AbortSignal.abort());
  }));

test('an instance without a role is denied, and a broken answer shows nothing of the secret', () =>
  met(async (imds, fake) => {
    await rejects(roleCredentials(imds)(), { kind: 'denied', message: /no role/ });
    fake.tree.set(folder, 'worker').set(`${folder}worker`, '{"SecretAccessKey":"top-secret"');
    await rejects(roleCredentials(imds)(), (error: Error) => {
      equal(error.message, 'credentials of role worker: invalid: not what AWS documents');
      equal(error.cause, undefined);
      return true;
    });
  }));
