/** Ports for the nodes of a development cluster, all on the loopback interface. */
import { randomInt } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { Failure } from '../../std/failure.ts';

const loopback = '127.0.0.1';

/** People type these, so they are exactly the ones announced. Failure `busy` names the first that is taken. */
export async function needPorts(base: number, count: number): Promise<void> {
  if (base + count - 1 > 65_535)
    throw new Failure('invalid', `--base-port ${base}: no room for ${count} ports above it`);
  for (let port = base; port < base + count; port++)
    if (!(await listenOnce(port)))
      throw new Failure('busy', `port ${port}: in use by another program: choose another --base-port`);
}

/**
 * Below what Linux (32768 up) and macOS (49152 up) give to outgoing connections: a port that the kernel picked for us
 * may be somebody's connection a moment later, before its node listens.
 */
const quiet = { from: 20_000, to: 32_000 };
const triesMax = 100;

/**
 * A port that was given is free to see until its node listens, and looking whether a port is free takes it for a moment:
 * two processes that draw at once would hand out the same one, or have one's node find it busy for the other's look. So
 * who draws a port first takes the UDP port of that number, which nothing here uses: the kernel gives it to one process
 * only, and takes it back however that process ends. Far more than are between being drawn and being listened on at once.
 */
const claims: Socket[] = [];
const claimsMax = 256;

/**
 * Nobody types these: the first of `count` neighbours that are all free just now, and are given to nobody else on this
 * machine while this process lives and draws no more than 256 others. `isTaken`: whoever has it may not listen at the
 * moment. Failure `busy`.
 */
export async function freePort(count = 1, isTaken = (_port: number): boolean => false): Promise<number> {
  for (let tries = 0; tries < triesMax; tries++) {
    const first = randomInt(quiet.from, quiet.to - count);
    const ports = Array.from({ length: count }, (_, i) => first + i);
    if (ports.some(isTaken)) continue;
    const claimed = await Promise.all(ports.map(claim));
    const isOurs = !claimed.includes(null);
    const isFree = isOurs && !(await Promise.all(ports.map(listenOnce))).includes(false);
    const held = claimed.filter((socket) => socket !== null);
    if (isFree) {
      claims.push(...held);
      for (const old of claims.splice(0, claims.length - claimsMax)) old.close();
      return first;
    }
    for (const socket of held) socket.close();
  }
  throw new Failure('busy', `no ${count} free ports on the loopback interface`);
}

/** null: another process, or this one, has it. */
async function claim(port: number): Promise<Socket | null> {
  const socket = createSocket('udp4');
  socket.bind({ port, address: loopback, exclusive: true });
  try {
    await once(socket, 'listening');
  } catch {
    return null;
  }
  socket.unref();
  return socket;
}

/** Whether this port can be had. */
async function listenOnce(wanted: number): Promise<boolean> {
  const server = createServer();
  server.listen(wanted, loopback);
  try {
    await once(server, 'listening');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EACCES') throw new Failure('denied', `port ${wanted}: not allowed for this user`, error);
    return false;
  }
  server.close();
  await once(server, 'close');
  return true;
}
