/**
 * What standing libp2p connections cost: N nodes in this process, a full mesh, and 32 beats a second out of and into
 * each. Prints one JSON object: percent of a core and bytes sent per node, idle and beating.
 */
import { subscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { whole } from '../script/flags.ts';
import { runScript, type Script } from '../script/script.ts';
import { startPeer, until, type Peer } from './peers.ts';

const beatMs = 540;

const sockets = new Set<Socket>();
const collect = (message: unknown): void => void sockets.add((message as { socket: Socket }).socket);
subscribe('net.client.socket', collect);
subscribe('net.server.socket', collect);
const sent = (): number => [...sockets].reduce((sum, { bytesWritten }) => sum + bytesWritten, 0);

async function mesh(nodes: number): Promise<readonly Peer[]> {
  const peers = await Promise.all(Array.from({ length: nodes }, () => startPeer()));
  for (const [i, from] of peers.entries())
    for (const to of peers.slice(i + 1)) await from.network.dial(to, AbortSignal.timeout(20_000));
  await until('full mesh', () => peers.every(({ links }) => links.length >= nodes - 1), 60_000);
  return peers;
}

async function measure({ nodes, seconds }: Size): Promise<{ corePercent: number; bytesPerSecond: number }> {
  const [before, bytes, startedAt] = [process.cpuUsage(), sent(), performance.now()];
  await pause(seconds * 1_000);
  const { user, system } = process.cpuUsage(before);
  const tookMs = performance.now() - startedAt;
  const corePercent = (user + system) / tookMs / 10 / nodes;
  return {
    corePercent: Math.round(corePercent * 1_000) / 1_000,
    bytesPerSecond: Math.round(((sent() - bytes) * 1_000) / tookMs / nodes),
  };
}

type Size = { readonly nodes: number; readonly seconds: number };

const flags = {
  nodes: whole('so many', { least: 2, otherwise: 32 }),
  seconds: whole('each of the two measurements', { least: 1, otherwise: 10 }),
};
const script: Script<typeof flags> = {
  name: 'bench:libp2p',
  about:
    'What standing libp2p connections cost, idle and with beats. One line of JSON on stdout; nothing is held to a bound.',
  flags,
  example: 'npm run -s bench:libp2p -- --nodes 8',
};

await runScript(script, async (size) => {
  const { nodes, seconds } = size;
  const startedAt = performance.now();
  const peers = await mesh(nodes);
  const meshMs = Math.round(performance.now() - startedAt);
  await pause(5_000);
  const idle = await measure(size);
  const body = new Uint8Array(9);
  const subjects = Math.min(8, nodes - 1);
  const timers = peers.map(({ network }, i) => {
    const watched = Array.from({ length: subjects }, (_, k) => peers[(i + k + 1) % nodes]!.peerId);
    return setInterval(() => watched.forEach((peerId) => network.send(peerId, body)), beatMs);
  });
  await pause(3_000);
  const beating = await measure(size);
  timers.forEach(clearInterval);
  console.log(JSON.stringify({ nodes, seconds, meshMs, idle, beating }));
  await Promise.all(peers.map((peer) => peer.network.close()));
  return 0;
});
