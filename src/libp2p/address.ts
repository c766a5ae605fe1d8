import { isIP } from 'node:net';
import { multiaddr, type Multiaddr } from '@multiformats/multiaddr';
import { listenFailure } from '../node/listen-failure.ts';
import type { PeerAddress } from '../node/ports.ts';
import { Failure, messageOf } from '../std/failure.ts';

const nameKind = { 0: 'dns4', 4: 'ip4', 6: 'ip6' } as const;

/** Failure `invalid` when host and port do not make an address. */
export function multiaddrOf({ host, port }: PeerAddress, peerId?: string): Multiaddr {
  try {
    const kind = nameKind[isIP(host) as 0 | 4 | 6];
    return multiaddr(`/${kind}/${host}/tcp/${port}${peerId === undefined ? '' : `/p2p/${peerId}`}`);
  } catch (error) {
    throw new Failure('invalid', `peer address ${host}:${port}: invalid`, error);
  }
}

/** What Noise says; libp2p passes on its text and nothing else. */
const anotherKey = 'does not match expected remote identity key';

/**
 * `missing`: the kernel of the other machine says that no process listens there. `late`: no answer. `invalid`: who
 * answers there has proven to be somebody else. `denied`: the peer turned us away.
 */
export function dialFailure(peerId: string, { host, port }: PeerAddress, error: unknown): Failure {
  if (error instanceof Failure) return error;
  const trail = `dial ${peerId} at ${host}:${port}`;
  const { code, name } = error as NodeJS.ErrnoException;
  if (code === 'ECONNREFUSED') return new Failure('missing', `${trail}: missing: refused`, error);
  const silent = code === 'EHOSTUNREACH' || code === 'ENETUNREACH' || code === 'ETIMEDOUT';
  if (silent || name === 'TimeoutError' || name === 'AbortError')
    return new Failure('late', `${trail}: late: ${code ?? 'no answer'}`, error);
  const why = whyOf(error);
  const kind = why.includes(anotherKey) ? 'invalid' : 'denied';
  return new Failure(kind, `${trail}: ${kind}: ${why}`, error);
}

/** libp2p wraps what the socket said into a text of its own. */
export function listenFailureOf(address: PeerAddress, error: unknown): Failure {
  const text = whyOf(error);
  const code = /\bE[A-Z]{3,}\b/.exec(text)?.[0];
  return listenFailure({ whom: 'gossip', ...address }, code ?? text, error);
}

/** libp2p rejects some promises with the event that closed a stream, which has no message. */
export function whyOf(error: unknown): string {
  if (!(error instanceof Event)) return messageOf(error);
  return 'error' in error && error.error instanceof Error ? error.error.message : error.type;
}
