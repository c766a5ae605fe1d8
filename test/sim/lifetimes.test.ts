/** What a cluster lives through that no schedule of faults draws: few members, all but one gone, hours apart, days ahead. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { wireCodec } from '../../src/node/message.ts';
import { onceEach } from './carriage.ts';
import { Checks } from './checks.ts';
import { membershipOnly } from './resident.ts';
import type { Host } from './terrain.ts';
import { World } from './world.ts';

class Cluster {
  readonly world: World;
  readonly checks: Checks;
  readonly hosts: Host[];

  constructor(nodes: number, { withDuty = true, seed = 1 } = {}) {
    const checks: Checks = new Checks(() => this.world, nodes);
    this.checks = checks;
    this.world = new World({
      ...{ seed, sabotage: null, isMail: () => false },
      inhabit: membershipOnly({ withDuty, codec: onceEach(wireCodec) }),
      onFact: (resident, fact) => checks.onFact(resident, fact),
      onChanged: (resident, id) => checks.onChanged(resident, id),
      onStart: (resident) => checks.onStart(resident),
      onApplied: (applied) => checks.duty.applied(applied),
    });
    this.hosts = [];
    this.grow(nodes);
  }

  grow(nodes: number): void {
    for (let i = 0; i < nodes; i++) {
      const host = this.world.launch(null);
      this.hosts.push(host);
      this.world.start(host);
    }
  }

  kill(...hosts: readonly Host[]): void {
    for (const host of hosts) this.world.kill(this.world.on(host)!);
  }

  async pass(ms: number): Promise<void> {
    for (const end = this.world.now + ms; this.world.now < end;) {
      await this.world.run(Math.min(end, this.world.now + 1_000), () => false);
      this.checks.sweep();
    }
    deepEqual(this.checks.violations, []);
  }

  /** All know the same, and it is true, and remains so. */
  async comesToRest(withinMs: number): Promise<void> {
    const end = this.world.now + withinMs;
    while (!this.checks.isEqual() && this.world.now < end) await this.pass(1_000);
    equal(this.checks.difference(), null);
    await this.pass(5_000);
    equal(this.checks.difference(), null);
  }
}

for (const nodes of [1, 2, 3])
  for (const newDisks of [false, true])
    test(`${nodes} that are killed in turn, and all at once, are whole again${newDisks ? ' with new keys' : ''}, and somebody leads`, async () => {
      const cluster = new Cluster(nodes);
      const { world, hosts } = cluster;
      await cluster.comesToRest(20_000);
      world.newDisks = newDisks;
      for (const hit of [...hosts.map((host) => [host]), hosts]) {
        cluster.kill(...hit);
        await cluster.pass(5_000);
        for (const host of hit) world.start(host);
        await cluster.comesToRest(30_000);
      }
      await cluster.pass(30_000);
      cluster.checks.mustBeLed();
      deepEqual(cluster.checks.violations, []);
    });

test('of fifty all but one are terminated at once, and fifty others come', async () => {
  const cluster = new Cluster(50, { withDuty: false });
  const { world, hosts } = cluster;
  await cluster.comesToRest(30_000);
  const [last, ...others] = hosts as [Host, ...Host[]];
  for (const host of others) world.terminate(host);
  await cluster.pass(60_000);
  const survivor = world.on(last)!;
  equal(survivor.alive, 0);
  cluster.grow(50);
  await cluster.comesToRest(30_000);
  equal(survivor.alive, 50);
});

test('two halves that were apart for an hour, and of which each has changed meanwhile, know the same within 30 s', async () => {
  const cluster = new Cluster(6, { withDuty: false });
  const { world, hosts } = cluster;
  await cluster.comesToRest(30_000);
  const half = hosts.slice(0, 3);
  for (const host of half) host.side = 1;
  const lift = world.shadows.cast((a, b) => half.includes(a) !== half.includes(b));
  world.pathsChanged();
  await cluster.pass(1_200_000);
  for (const host of [hosts[0]!, hosts[3]!]) {
    cluster.kill(host);
    world.newDisks = host === hosts[3];
    world.start(host);
  }
  world.terminate(hosts[4]!);
  await cluster.pass(2_400_000);
  for (const host of half) host.side = 0;
  world.pathsChanged();
  lift(world.now);
  await cluster.comesToRest(30_000);
});

test('[M9] one of sixty that is cut off again and again lives for all of them ten seconds after each time', async () => {
  const cluster = new Cluster(60, { withDuty: false });
  const { world, hosts } = cluster;
  await cluster.comesToRest(60_000);
  const [host] = hosts as [Host];
  for (let time = 1; time <= 5; time++) {
    host.side = 1;
    const lift = world.shadows.cast((a) => a === host);
    world.pathsChanged();
    await cluster.pass(5_000);
    host.side = 0;
    world.pathsChanged();
    lift(world.now);
    await cluster.comesToRest(10_000);
  }
});

for (const newDisks of [false, true])
  test(`a clock that was three days ahead, and was set right before the next start${newDisks ? ' with a new key' : ''}, keeps nobody out`, async () => {
    const daysMs = 3 * 86_400_000;
    const cluster = new Cluster(6);
    const { world, hosts } = cluster;
    await cluster.comesToRest(20_000);
    world.newDisks = newDisks;
    const host = hosts[0]!;
    for (const aheadMs of [daysMs, -daysMs, -daysMs]) {
      const ended = world.on(host)!;
      const { incarnation } = ended.inside.cluster.own();
      world.setWall(ended, aheadMs);
      cluster.kill(host);
      await cluster.pass(3_000);
      world.start(host);
      await cluster.comesToRest(30_000);
      const now = world.on(host)!.inside.cluster.own().incarnation;
      ok(newDisks && aheadMs < 0 ? now < incarnation : now > incarnation);
    }
  });
