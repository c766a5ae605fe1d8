/** Where the contract is played: a local cloud of our own, and moto's server where it is installed. */
import { AutoScalingClient } from '@aws-sdk/client-auto-scaling';
import { EC2Client } from '@aws-sdk/client-ec2';
import { S3Client } from '@aws-sdk/client-s3';
import { SSMClient } from '@aws-sdk/client-ssm';
import { STSClient } from '@aws-sdk/client-sts';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../src/cli/dev/ports.ts';
import { startLocalCloud } from '../../src/localcloud/cloud.ts';
import { usualCloud } from '../../src/localcloud/cloud-options.ts';
import { systemClock } from '../../src/os/clock.ts';
import { FakeHosts } from '../localcloud/fake-hosts.ts';
import type { Clients } from './exchange.ts';

export type Target = AsyncDisposable & { readonly clients: Clients };

/** Python with flask and botocore: 5 s on an idle machine. */
const motoReadyMs = 60_000;

export async function openLocalCloud(): Promise<Target> {
  const dir = await mkdtemp(join(tmpdir(), 'synkti-contract-'));
  const cloud = await startLocalCloud(
    { ...usualCloud, dir, hosts: new FakeHosts(), clock: systemClock, report: () => {}, seed: 13 },
    AbortSignal.timeout(30_000),
  );
  const clients = openClients(cloud.endpoint, cloud.operatorCredentials);
  return {
    clients,
    async [Symbol.asyncDispose]() {
      closeClients(clients);
      await cloud.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** A sentence instead of a target says why there is none. */
export async function openMoto(): Promise<Target | string> {
  const port = await freePort();
  const server = spawn('moto_server', ['-H', '127.0.0.1', '-p', String(port)], {
    detached: true,
    stdio: 'ignore',
  });
  const missing = await once(server, 'spawn').then(
    () => false,
    () => true,
  );
  if (missing) return 'moto_server is not installed (pip install "moto[server]")';
  const url = `http://127.0.0.1:${port}`;
  if (!(await answers(url, server))) {
    kill(server);
    return `moto_server did not answer within ${motoReadyMs} ms`;
  }
  const clients = openClients(url, { accessKeyId: 'test', secretAccessKey: 'test' });
  return {
    clients,
    async [Symbol.asyncDispose]() {
      closeClients(clients);
      kill(server);
      if (server.exitCode === null && server.signalCode === null) await once(server, 'exit');
    },
  };
}

async function answers(url: string, server: ChildProcess): Promise<boolean> {
  const end = performance.now() + motoReadyMs;
  while (performance.now() < end && server.exitCode === null) {
    const answer = await fetch(`${url}/moto-api/`).catch(() => null);
    if (answer?.ok === true) return true;
    await sleep(100);
  }
  return false;
}

/** The whole group: what is on the PATH may be a launcher. */
function kill({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function openClients(
  endpoint: string,
  credentials: { readonly accessKeyId: string; readonly secretAccessKey: string },
): Clients {
  const settings = { endpoint, credentials, region: 'us-east-1', maxAttempts: 1 };
  const forged = { ...credentials, secretAccessKey: 'not the secret' };
  return {
    autoscaling: new AutoScalingClient(settings),
    ec2: new EC2Client(settings),
    s3: new S3Client({ ...settings, forcePathStyle: true }),
    ssm: new SSMClient(settings),
    sts: new STSClient(settings),
    forger: new S3Client({ ...settings, credentials: forged, forcePathStyle: true }),
  };
}

function closeClients(clients: Clients): void {
  for (const client of Object.values(clients)) client.destroy();
}
