/** Ports for the nodes of a development cluster, all on the loopback interface. */
import { randomInt } from 'node:crypto';
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
 * Nobody types these: the first of `count` neighbours that are all free just now. `isTaken`: whoever has it may not listen
 * at the moment.
 */
export async function freePort(count = 1, isTaken = (_port: number): boolean => false): Promise<number> {
  for (let tries = 0; tries < triesMax; tries++) {
    const first = randomInt(quiet.from, quiet.to - count);
    const ports = Array.from({ length: count }, (_, i) => first + i);
    if (ports.some(isTaken)) continue;
    const free = await Promise.all(ports.map(listenOnce));
    if (!free.includes(false)) return first;
  }
  throw new Failure('busy', `no ${count} free ports on the loopback interface`);
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
