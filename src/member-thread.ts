/**
 * Puts the membership thread together: libp2p, the probe, the seal, and the cluster in their middle. What only the main
 * thread has, the cloud and the log, is asked for and told through the port. Here runs nothing that can be held up by
 * a client, an engine or the AWS SDK.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { startNetwork } from './libp2p/network.ts';
import { identityFromSeed } from './mtls/identity.ts';
import { sealFrom } from './mtls/seal.ts';
import { Cluster } from './node/cluster.ts';
import { isGossip } from './node/hearing.ts';
import { wireCodec } from './node/message.ts';
import { clockSince } from './os/clock.ts';
import { openMemory } from './os/memory.ts';
import { openIsolation } from './os/isolation.ts';
import { openProbe } from './os/probe.ts';
import { assert } from './std/assert.ts';
import type { Setup } from './thread/messages.ts';
import { metered } from './thread/meter.ts';
import { serveCluster, type Port } from './thread/serve-cluster.ts';

async function main(port: Port, setup: Setup): Promise<void> {
  const { own, listen, listing, discoveryMs, rngSeed, remembered, originMs, faults } = setup;
  // Before the first connection. All that this thread connects to is a peer.
  const isolation = faults ? openIsolation(() => true) : null;
  const identity = identityFromSeed(setup.keySeed);
  const { privateKey } = identity;
  serveCluster(port, ({ cloud, report }) => {
    const onRefused = (peerId: string, why: string): void => report({ fact: 'peer.refused', peerId, why });
    const onFlood = (peerId: string): void => report({ fact: 'peer.flooding', peerId });
    const onStumbled = (peerId: string, why: string): void =>
      report({ fact: 'message.stumbled', peerId, why });
    const heard = (body: Uint8Array): boolean => isGossip(wireCodec.decode(body));
    const told = { onRefused, onFlood, onStumbled, isGossip: heard };
    const network = metered((events) =>
      startNetwork({ privateKey, listen, version: own.version, ...told }, events),
    );
    const cluster = new Cluster(
      { own, listing, discoveryMs, rng: { seed: rngSeed }, remembered },
      {
        ...{ clock: clockSince(originMs), cloud, report },
        openNetwork: network.open,
        probe: openProbe(),
        memory: openMemory(setup.memory, report),
        seal: sealFrom(identity),
        codec: wireCodec,
      },
    );
    const isolate = (on: boolean): void => (on ? isolation?.isolate() : isolation?.heal());
    return { cluster, usage: network.usage, isolate };
  });
}

assert(parentPort !== null, 'only startMemberThread runs this');
void main(parentPort, workerData as Setup);
