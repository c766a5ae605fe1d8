/**
 * Connections to one peer's HTTPS. A connection is handed to HTTP only when the certificate at the other end speaks
 * for the peer id that was asked for, whatever the address says: private addresses are reused.
 */
import type { TLSSocket } from 'node:tls';
import { buildConnector, Pool } from 'undici';
import { Failure } from '../std/failure.ts';
import { peerIdOfCertificate, type Credentials } from './certificate.ts';

type PeerPoolOptions = {
  /** Made once per process by `issueCertificate`, shared by all pools and the listener. */
  readonly credentials: Credentials;
  /** Who has to answer. */
  readonly peerId: string;
  /** host:port */
  readonly address: string;
};

/** One running request holds one connection; above this they wait in the pool, which its user has to bound. */
const connectionsMax = 512;
/** A host that is gone answers nothing; one that is alive takes a few ms, a starved one some hundred. */
const connectMs = 1_000;
/** A new connection costs both ends 12 CPU-ms together, so an idle one is kept for a while. */
const keepAliveMs = 60_000;
/**
 * After so much silence the kernel asks whether the other end is there, as it does at both ends: an answer that is waited
 * for in silence may be one that nobody makes any more. Ten seconds without a word later the connection is lost. ms
 */
export const aliveMs = 30_000;

/** Requests fail with a Failure `denied` as their cause when another peer answers. Close it with `destroy` or `close`. */
export function peerPool({ credentials, peerId, address }: PeerPoolOptions): Pool {
  const connectTls = buildConnector({
    ...credentials,
    minVersion: 'TLSv1.3',
    // Nobody signs these certificates; the callback below decides instead.
    rejectUnauthorized: false,
    allowH2: false,
    // A resumed session has no certificate to look at, so the check could not run: every connection shows its own.
    maxCachedSessions: 0,
    timeout: connectMs,
    keepAliveInitialDelay: aliveMs,
  });
  const connect: buildConnector.connector = (options, callback) =>
    connectTls(options, (error, socket) => {
      if (error !== null) return callback(error, null);
      certified(socket as TLSSocket, peerId).then(
        () => callback(null, socket),
        (refusal: Error) => {
          socket.destroy();
          callback(refusal, null);
        },
      );
    });
  return new Pool(`https://${address}`, {
    connect,
    connections: connectionsMax,
    pipelining: 1,
    keepAliveTimeout: keepAliveMs,
    keepAliveMaxTimeout: keepAliveMs,
  });
}

async function certified(socket: TLSSocket, wanted: string): Promise<void> {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) throw new Failure('denied', `peer ${wanted}: denied: no certificate`);
  const answered = await peerIdOfCertificate(certificate.raw);
  if (answered !== wanted) throw new Failure('denied', `peer ${wanted}: denied: ${answered} answers there`);
  if (socket.destroyed)
    throw new Failure('unreachable', `peer ${wanted}: unreachable: closed while connecting`);
}
