import { Failure } from '../std/failure.ts';
import type { PeerAddress } from './ports.ts';

/** `busy`: somebody else listens there. `why`: the system's code, or what else there is to say. */
export function listenFailure(
  { whom, host, port }: PeerAddress & { readonly whom: 'clients' | 'gossip' | 'peers' },
  why: string,
  cause: unknown,
): Failure {
  const kind = why === 'EADDRINUSE' ? 'busy' : 'denied';
  return new Failure(kind, `listen for ${whom} on ${host} port ${port}: ${kind}: ${why}`, cause);
}
