import { Failure } from '../std/failure.ts';
import type { PeerAddress } from './ports.ts';

type Whom = 'clients' | 'gossip' | 'peers';

/** The settings that say where. */
const flagsOf: Readonly<Record<Whom, { readonly host: string; readonly port: string }>> = {
  clients: { host: '--api-host', port: '--api-port' },
  gossip: { host: '--host', port: '--p2p-port' },
  peers: { host: '--host', port: '--peer-port' },
};

const remedies: Readonly<Record<string, (flags: (typeof flagsOf)[Whom]) => string>> = {
  EADDRINUSE: ({ port }) => `: another program listens there: choose another ${port}`,
  EACCES: ({ port }) => `: not for this user: choose another ${port}`,
  EADDRNOTAVAIL: ({ host }) => `: not an address of this machine: choose another ${host}`,
};

/** `busy`: somebody else listens there. `why`: the system's code, or what else there is to say. */
export function listenFailure(
  { whom, host, port }: PeerAddress & { readonly whom: Whom },
  why: string,
  cause: unknown,
): Failure {
  const kind = why === 'EADDRINUSE' ? 'busy' : 'denied';
  const remedy = remedies[why]?.(flagsOf[whom]) ?? '';
  return new Failure(kind, `listen for ${whom} on ${host} port ${port}: ${kind}: ${why}${remedy}`, cause);
}
