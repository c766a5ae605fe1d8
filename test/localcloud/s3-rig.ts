import { CreateBucketCommand, S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { openS3, type S3, type S3Options } from '../../src/localcloud/s3/s3.ts';
import { awsRequestRate } from '../../src/localcloud/s3/shaping.ts';
import { openCredentialTable } from '../../src/localcloud/wire/credentials.ts';
import { openEndpoint, type Endpoint } from '../../src/localcloud/wire/endpoint.ts';
import type { Fault } from '../../src/localcloud/wire/fault-port.ts';
import { systemClock } from '../../src/os/clock.ts';

export const Bucket = 'models';

export type S3Rig = AsyncDisposable & {
  /** The operator's. */
  readonly client: S3Client;
  readonly url: string;
  readonly dir: string;
  /** Operations that have begun, in order. */
  readonly begun: readonly string[];
  /** What nobody was told but the log. */
  readonly reported: readonly unknown[];
  /** Taken by the next calls, one each. */
  readonly faults: Fault[];
  s3(): S3;
  clientWith(config: S3ClientConfig): S3Client;
  clientOf(instanceId: string): S3Client;
  /** Closes everything and opens it again on the same directory and port. */
  restart(): Promise<void>;
  files(folder: 'blobs' | 'unfinished'): Promise<number>;
};

const secret = 'a secret of the test';
const operatorKey = 'AKIAOPERATOR';

/** S3 alone behind a real endpoint, with one bucket. */
export async function openS3Rig(overrides: Partial<S3Options> = {}): Promise<S3Rig> {
  const dir = await mkdtemp(join(tmpdir(), 'synkti-s3-'));
  const clock = overrides.clock ?? systemClock;
  const credentials = openCredentialTable(() => clock.wallNow());
  const issue = (key: string, instanceId: string | null): void =>
    credentials.issue(key, { secret, sessionToken: null, instanceId, expiresAt: null });
  issue(operatorKey, null);
  const begun: string[] = [];
  const reported: unknown[] = [];
  const faults: Fault[] = [];
  const report = (error: unknown): void => void reported.push(error);
  const usual = { region: 'us-east-1', dayMs: 86_400_000, requestRate: awsRequestRate };
  let s3: S3;
  let endpoint: Endpoint;

  async function open(port: number): Promise<void> {
    s3 = await openS3({ ...usual, clock, bandwidthOf: () => null, ...overrides, dir, report });
    const before = (_service: string, operation: string): Fault | null => {
      begun.push(operation);
      return faults.shift() ?? null;
    };
    endpoint = await openEndpoint({
      apis: [s3],
      credentials,
      clock,
      faults: { before },
      host: '127.0.0.1',
      port,
      report,
    });
  }
  async function close(): Promise<void> {
    await endpoint.close();
    s3.close();
  }

  await open(0);
  const { url, port } = endpoint!;
  const clients: S3Client[] = [];
  const clientWith = (config: S3ClientConfig): S3Client => {
    const usualCredentials = { accessKeyId: operatorKey, secretAccessKey: secret };
    const settings = { endpoint: url, region: 'us-east-1', forcePathStyle: true, maxAttempts: 1 };
    const client = new S3Client({ ...settings, credentials: usualCredentials, ...config });
    clients.push(client);
    return client;
  };
  const client = clientWith({});
  await client.send(new CreateBucketCommand({ Bucket }));
  begun.length = 0;

  return {
    client,
    url,
    dir,
    begun,
    reported,
    faults,
    s3: () => s3,
    clientWith,
    clientOf(instanceId) {
      issue(`ASIA${instanceId}`, instanceId);
      return clientWith({ credentials: { accessKeyId: `ASIA${instanceId}`, secretAccessKey: secret } });
    },
    async restart() {
      await close();
      await open(port);
    },
    files: async (folder) => (await readdir(join(dir, folder))).length,
    async [Symbol.asyncDispose]() {
      for (const one of clients) one.destroy();
      await close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** Waits for what sockets and disks will bring about. */
export async function eventually(
  condition: () => boolean | Promise<boolean>,
  withinMs = 30_000,
): Promise<void> {
  const end = performance.now() + withinMs;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not within ${withinMs} ms: ${condition.toString()}`);
    await pause(5);
  }
}

/** What a call is refused with: code and status; a connection that breaks has status 0. */
export async function refusalOf(
  call: Promise<unknown>,
): Promise<{ readonly code: string; readonly status: number }> {
  try {
    await call;
  } catch (error) {
    const { name, $metadata } = error as Error & { $metadata?: { httpStatusCode?: number } };
    return { code: name, status: $metadata?.httpStatusCode ?? 0 };
  }
  throw new Error('it was not refused');
}
