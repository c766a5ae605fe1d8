import { deepEqual, equal, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import { SSMClient } from '@aws-sdk/client-ssm';
import { awaitCredentials, roleCredentials } from '../../src/aws/credentials.ts';
import type { Imds } from '../../src/aws/imds.ts';
import { clusterTag, identify, noticesFrom } from '../../src/aws/metadata.ts';
import { systemClock } from '../../src/os/clock.ts';
import type { Path } from '../../src/spot/notices.ts';
import { instant, wallTime } from '../../src/std/time.ts';
import { met, type FakeImds } from './fake-imds.ts';

const soon = (): AbortSignal => AbortSignal.timeout(30_000);

const document = `{
\t"accountId" : "111122223333",
\t"instanceId" : "i-1",
\t"region" : "us-east-1",
\t"availabilityZone" : "us-east-1b",
\t"privateIp" : "10.0.0.1",
\t"instanceType" : "g5.xlarge"
}`;

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
    const credentials = roleCredentials(imds, systemClock);
    const all = await Promise.all([credentials(), credentials(), credentials()]);
    deepEqual(
      all.map(({ accessKeyId }) => accessKeyId),
      ['first', 'first', 'first'],
    );
    equal(fake.reads.filter((path) => path === `${folder}worker`).length, 1);
  }));

/** Two clocks that are set by hand, beside that of AWS, which goes as they should. */
class SetClock {
  #now = 0;
  #wall = Date.now();
  #true = this.#wall;

  now = () => instant(this.#now);
  wallNow = () => wallTime(this.#wall);
  ofAws = (): number => this.#true;

  pass(ms: number): void {
    this.#now += ms;
    this.#wall += ms;
    this.#true += ms;
  }

  /** Somebody sets the wall clock. */
  jump(ms: number): void {
    this.#wall += ms;
  }

  /** The instance hibernates, and its monotonic clock stands still. */
  sleep(ms: number): void {
    this.#wall += ms;
    this.#true += ms;
  }
}

const hourMs = 3_600_000;
async function begin(imds: Imds, fake: FakeImds, lifeMs: number) {
  const clock = new SetClock();
  fake.time = clock.ofAws;
  fake.tree.set(folder, 'worker').set(`${folder}worker`, issued('first', lifeMs));
  const credentials = roleCredentials(imds, clock);
  const fetches = (): number => fake.reads.filter((path) => path === `${folder}worker`).length;
  const held = async (): Promise<string> => (await credentials()).accessKeyId;
  equal(await held(), 'first');
  clock.pass(60_000);
  return { clock, held, fetches, credentials };
}

test('credentials are renewed five minutes before they end, and not asked for again and again meanwhile', () =>
  met(async (imds, fake) => {
    const { clock, held, fetches } = await begin(imds, fake, hourMs);
    clock.pass(hourMs - 370_000);
    equal(await held(), 'first');
    equal(fetches(), 1);
    clock.pass(20_000);
    for (let i = 0; i < 3; i++) equal(await held(), 'first');
    equal(fetches(), 2, 'AWS still shows the old ones');
    fake.tree.set(`${folder}worker`, issued('second', 2 * hourMs));
    clock.pass(31_000);
    equal(await held(), 'second');
  }));

test('a wall clock that is set back does not lengthen the life of credentials', () =>
  met(async (imds, fake) => {
    const { clock, held } = await begin(imds, fake, hourMs);
    clock.jump(-24 * hourMs);
    fake.tree.set(`${folder}worker`, issued('second', 2 * hourMs));
    clock.pass(hourMs - 400_000);
    equal(await held(), 'first');
    clock.pass(200_000);
    equal(await held(), 'second');
  }));

test('a wall clock that is set ahead costs one question, and so does one that was wrong from the start', () =>
  met(async (imds, fake) => {
    const { clock, held, fetches } = await begin(imds, fake, hourMs);
    clock.jump(24 * hourMs);
    for (let i = 0; i < 3; i++) equal(await held(), 'first');
    clock.pass(60_000);
    equal(await held(), 'first');
    equal(fetches(), 2);
  }));

test('credentials that ended while the instance hibernated are not used', () =>
  met(async (imds, fake) => {
    const { clock, held } = await begin(imds, fake, hourMs);
    clock.sleep(24 * hourMs);
    fake.tree.set(`${folder}worker`, issued('second', 25 * hourMs));
    equal(await held(), 'second');
  }));

test('credentials that come expired are asked for once a second, and what ended is not used where none is to be had', () =>
  met(async (imds, fake) => {
    const { clock, held, fetches } = await begin(imds, fake, -hourMs);
    for (let i = 0; i < 3; i++) equal(await held(), 'first');
    equal(fetches(), 2);
    clock.pass(1_001);
    equal(await held(), 'first');
    equal(fetches(), 3);
    fake.mood = 403;
    clock.pass(1_001);
    for (let i = 0; i < 2; i++) await rejects(held(), { kind: 'denied' });
  }));

test('the AWS SDK asks for the credentials each time, and keeps none by the wall clock', () =>
  met(async (imds, fake) => {
    const { credentials } = await begin(imds, fake, hourMs);
    let asked = 0;
    const client = new SSMClient({ region: 'us-east-1', credentials: () => (asked++, credentials()) });
    await client.config.credentials();
    const before = asked;
    for (let i = 0; i < 3; i++) await client.config.credentials();
    equal(asked, before + 3);
    client.destroy();
  }));

test('a start waits for a role that was just attached, and ends where there is none', () =>
  met(async (imds, fake) => {
    const credentials = roleCredentials(imds, systemClock);
    await rejects(awaitCredentials(credentials, AbortSignal.timeout(600)), { message: /has no role$/ });
    const waiting = awaitCredentials(credentials, AbortSignal.timeout(10_000));
    fake.tree.set(folder, 'worker').set(`${folder}worker`, issued('late', 3_600_000));
    await waiting;
    equal((await credentials()).accessKeyId, 'late');
  }));

test('a start does not end because the metadata service is poorly', () =>
  met(async (imds, fake) => {
    fake.mood = 503;
    await awaitCredentials(roleCredentials(imds, systemClock), AbortSignal.abort());
  }));

test('an instance without a role is denied, and a broken answer shows nothing of the secret', () =>
  met(async (imds, fake) => {
    await rejects(roleCredentials(imds, systemClock)(), { kind: 'denied', message: /no role/ });
    fake.tree.set(folder, 'worker').set(`${folder}worker`, '{"SecretAccessKey":"top-secret"');
    await rejects(roleCredentials(imds, systemClock)(), (error: Error) => {
      equal(error.message, 'credentials of role worker: invalid: not what AWS documents');
      equal(error.cause, undefined);
      return true;
    });
  }));
