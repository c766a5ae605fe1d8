/**
 * The address, taken early and opened late: from the first moment nobody else can have it, and until the engine is
 * ready it refuses. On a Unix socket this means a socket file that nobody listens on, later replaced by one with a
 * listener; a file that is there already, live or stale, is a failed start. The file stays when the process goes.
 */
import { linkSync, renameSync } from 'node:fs';
import type { Server as HttpServer } from 'node:http';
import { createServer, type AddressInfo, type ListenOptions, type Server } from 'node:net';
import { dirname, join } from 'node:path';
import { once } from 'node:events';
import type { EngineSettings } from './flags.ts';

type Address = EngineSettings['listen'];

type Reservation = { readonly address: Address; readonly spare: string | null };

/** Throws what the system says, EADDRINUSE above all. */
export async function reserve(address: Address): Promise<Reservation> {
  const placeholder = createServer();
  if (address.type === 'tcp') {
    if (address.port !== 0) await opened(placeholder, { host: address.host, port: address.port });
    if (address.port !== 0) await closed(placeholder);
    return { address, spare: null };
  }
  // Its own short name beside the wanted one, because a Unix socket's path is at most 107 bytes.
  const spare = join(dirname(address.path), `.${process.pid}`);
  await opened(placeholder, { path: spare });
  try {
    linkSync(spare, address.path);
  } catch (error) {
    await closed(placeholder);
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw Object.assign(new Error('address already in use'), { code: 'EADDRINUSE' });
  }
  await closed(placeholder);
  return { address, spare };
}

/** Returns the address as a log shows it. */
export async function listen(server: HttpServer, { address, spare }: Reservation): Promise<string> {
  if (address.type === 'tcp' || spare === null) {
    await opened(
      server,
      address.type === 'tcp' ? { host: address.host, port: address.port } : { path: address.path },
    );
    const { port } = server.address() as AddressInfo;
    return address.type === 'tcp' ? `http://${address.host}:${port}` : `unix:${address.path}`;
  }
  await opened(server, { path: spare });
  renameSync(spare, address.path);
  return `unix:${address.path}`;
}

async function opened(server: Server, options: ListenOptions): Promise<void> {
  server.listen(options);
  await once(server, 'listening');
}

async function closed(server: Server): Promise<void> {
  server.close();
  await once(server, 'close');
}
