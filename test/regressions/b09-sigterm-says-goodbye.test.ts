/**
 * B9: the code that untagged an instance could not be reached, and nothing listened to SIGTERM: `systemctl stop` left
 * tags, engine and peers behind that believed in it. Here a real node of a real cluster gets the signal.
 */
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { startDevCluster, type DevCluster } from '../cluster/dev-cluster.ts';
import { membersOf } from '../demo/observe.ts';
import { isAlive } from '../real/cache.ts';

const tagsOf = async (cluster: DevCluster, id: string): Promise<Readonly<Record<string, string>>> => {
  const instances = await cluster.cloud('instances', {}, AbortSignal.timeout(20_000));
  return instances.find((instance) => instance.id === id)?.tags ?? {};
};

test(
  '[B9] SIGTERM: the node leaves its peers, its tags say so, and its process ends',
  { timeout: 240_000 },
  async (t) => {
    const cluster = await startDevCluster({ nodes: 2, readyMs: 120_000, args: ['--replace-after', '1h'] });
    t.after(() => cluster.stop());
    const [peer, leaver] = cluster.nodes;
    const before = await tagsOf(cluster, leaver!.id);
    equal(before['SynktiState'], 'joined');

    process.kill(leaver!.pid, 'SIGTERM');
    const healthAtPeer = async (): Promise<string | undefined> =>
      (await membersOf(peer!)).find(({ id }) => id === leaver!.id)?.health;
    while ((await healthAtPeer()) !== 'left') await pause(50, undefined, { signal: t.signal });
    while (isAlive(leaver!.pid)) await pause(50, undefined, { signal: t.signal });

    const after = await tagsOf(cluster, leaver!.id);
    const ours = Object.entries(after).filter(([key]) => key.startsWith('Synkti'));
    deepEqual(Object.fromEntries(ours), { SynktiNodeId: leaver!.id, SynktiState: 'left' });
  },
);
