import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { startLocalCloud, type LocalCloud } from '../../src/localcloud/cloud.ts';
import { usualCloud, type LocalCloudOptions } from '../../src/localcloud/cloud-options.ts';
import type { Answer, OperationName, Request } from '../../src/localcloud/control-operations.ts';
import type { Launch } from '../../src/localcloud/instances/hosts.ts';
import type { Fact } from '../../src/node/facts.ts';
import { FakeHosts } from './fake-hosts.ts';
import { manualClock, type ManualClock } from './manual-clock.ts';

export type Rig = AsyncDisposable & {
  readonly cloud: LocalCloud;
  readonly hosts: FakeHosts;
  readonly clock: ManualClock;
  readonly facts: readonly Fact[];
  /** Launches instances and moves time until they run and every reader sees them. */
  boot(count: number): Promise<readonly Launch[]>;
  /** Moves time and lets what follows from it happen on the hosts: orders to fakes take a few turns of the loop. */
  pass(ms: number): Promise<void>;
  operate<N extends OperationName>(name: N, request: Request<N>): Promise<Answer<N>>;
  /** Settings of an SDK client that acts for the operator. */
  readonly sdk: {
    readonly endpoint: string;
    readonly region: string;
    readonly credentials: LocalCloud['operatorCredentials'];
    readonly maxAttempts: number;
  };
};

/** A cloud over real sockets whose machines are fakes and whose time stands still. */
export async function startRig(overrides: Partial<LocalCloudOptions> = {}): Promise<Rig> {
  const dir = await mkdtemp(join(tmpdir(), 'lc-'));
  const hosts = new FakeHosts();
  const clock = manualClock(Date.now());
  const facts: Fact[] = [];
  const cloud = await startLocalCloud(
    { ...usualCloud, dir, hosts, clock, report: (fact) => facts.push(fact), seed: 13, ...overrides },
    AbortSignal.timeout(30_000),
  );

  async function pass(ms: number): Promise<void> {
    clock.advance(ms);
    for (let turns = 0; turns < 20; turns += 1) await turn();
  }

  async function boot(count: number): Promise<readonly Launch[]> {
    const ids = cloud.runInstances(count);
    clock.advance(1_000);
    await until(() => ids.every((id) => hosts.machines.has(id)));
    return ids.map((id) => hosts.machines.get(id)!.launch);
  }

  return {
    cloud,
    hosts,
    clock,
    facts,
    boot,
    pass,
    operate: (name, request) => cloud.operate(name, request, AbortSignal.timeout(30_000)),
    sdk: {
      endpoint: cloud.endpoint,
      region: 'us-east-1',
      credentials: cloud.operatorCredentials,
      maxAttempts: 1,
    },
    async [Symbol.asyncDispose]() {
      await cloud.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** Waits for a condition that sockets or hosts will bring about. */
export async function until(condition: () => boolean, withinMs = 30_000): Promise<void> {
  const end = performance.now() + withinMs;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`not within ${withinMs} ms: ${condition.toString()}`);
    await turn();
  }
}
