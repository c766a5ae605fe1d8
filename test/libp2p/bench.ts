/**
 * What standing libp2p connections cost: N nodes in this process, a full mesh, and 32 beats a second out of and into
 * each. Prints one JSON object: percent of a core and bytes sent per node, idle and beating.
 *
 *   node test/libp2p/bench.ts [nodes] [seconds]
 */
import { subscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { startPeer, until, type Peer } from './peers.ts';

const nodes = Number(process.argv[2] ?? 32);
const seconds = Number(process.argv[3] ?? 10);
const subjects = Math.min(8, nodes - 1);
const beatMs = 540;

const sockets = new Set<Socket>();
const collect = (message: unknown): void => void sockets.add((message as { socket: Socket }).socket);
subscribe('net.client.socket', collect);
subscribe('net.server.socket', collect);
const sent = (): number => [...sockets].reduce((sum, { bytesWritten }) => sum + bytesWritten, 0);

async function mesh(): Promise<readonly Peer[]> {
  const peers = await Promise.all(Array.from({ length: nodes }, () => startPeer()));
  for (const [i, from] of peers.entries())
    for (const to of peers.slice(i + 1)) await from.network.dial(to, AbortSignal.timeout(20_000));
  await until('full mesh', () => peers.every(({ links }) => links.length >= nodes - 1), 60_000);
  return peers;
}

async function measure(): Promise<{ corePercent: number; bytesPerSecond: number }> {
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

const startedAt = performance.now();
const peers = await mesh();
const meshMs = Math.round(performance.now() - startedAt);
await pause(5_000);
const idle = await measure();
const body = new Uint8Array(9);
const timers = peers.map(({ network }, i) => {
  const watched = Array.from({ length: subjects }, (_, k) => peers[(i + k + 1) % nodes]!.peerId);
  return setInterval(() => watched.forEach((peerId) => network.send(peerId, body)), beatMs);
});
await pause(3_000);
const beating = await measure();
timers.forEach(clearInterval);
console.log(JSON.stringify({ nodes, seconds, meshMs, idle, beating }));
process.exit(0);
