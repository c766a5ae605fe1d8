/** Ports for the nodes of a development cluster, all on the loopback interface. */
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { Failure } from '../../std/failure.ts';

const loopback = '127.0.0.1';

/** People type these, so they are exactly the ones announced. Failure `busy` names the first that is taken. */
export async function needPorts(base: number, count: number): Promise<void> {
  if (base + count - 1 > 65_535)
    throw new Failure('invalid', `--base-port ${base}: no room for ${count} ports above it`);
  for (let port = base; port < base + count; port++)
    if ((await listenOnce(port)) === null)
      throw new Failure('busy', `port ${port}: in use by another program: choose another --base-port`);
}

/** Nobody types these: any that is free just now. */
export async function freePort(): Promise<number> {
  const port = await listenOnce(0);
  if (port === null) throw new Failure('busy', 'no free port on the loopback interface');
  return port;
}

async function listenOnce(wanted: number): Promise<number | null> {
  const server = createServer();
  server.listen(wanted, loopback);
  try {
    await once(server, 'listening');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EACCES') throw new Failure('denied', `port ${wanted}: not allowed for this user`, error);
    return null;
  }
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
