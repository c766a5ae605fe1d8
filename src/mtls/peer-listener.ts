/**
 * The listener of the node-to-node HTTPS. TLS runs with certificates that nobody signed (see certificate.ts), so the
 * check is ours: a connection is judged once, as soon as it stands, by the peer id that its certificate speaks for,
 * and none of its requests is seen by anyone before that. Whoever passes keeps its identity for the connection's life,
 * which ends when it is a member no more.
 */
import { constants } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { listenFailure } from '../node/listen-failure.ts';
import { Failure, messageOf } from '../std/failure.ts';
import { peerIdOfCertificate, type Credentials } from './certificate.ts';
import { Crowd, type Bounds } from './crowd.ts';
import { aliveMs } from './peer-pool.ts';

export type PeerListener = {
  /** Where it really listens; differs from what was asked for only where that was 0. */
  readonly port: number;
  /** It is a member no more, and its calls are not answered: closes whatever it has here, lines too. */
  cut(peerId: string): void;
  /** Stops accepting, lets running requests finish until the signal aborts, then cuts them. */
  close(signal: AbortSignal): Promise<void>;
};

export type PeerListenerOptions = {
  readonly credentials: Credentials;
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Whether this peer may speak to us; asked once a connection. Whoever answers bounds the time it takes. */
  readonly admit: (peerId: string) => Promise<boolean>;
  readonly onRequest: (request: IncomingMessage, response: ServerResponse, peerId: string) => void;
  /** What a connection may be upgraded to. */
  readonly lines: Lines;
  readonly bounds: Bounds;
  /** A connection was turned away, and why: for the log. */
  readonly onRefused: (why: string) => void;
};

export type Lines = {
  /** As the Upgrade header has it. */
  readonly protocol: string;
  /** The connection is its own from now on; `begun`: what came by it already. `onClosed`: call it once. */
  readonly take: (
    socket: TLSSocket,
    begun: Buffer,
    about: { readonly peerId: string; readonly onClosed: () => void },
  ) => Line;
};

/** Takes nothing new after `leave`, and closes the connection when what it has is done. */
type Line = { leave(): void };

/**
 * An inference stream of a peer that knows no lines holds its connection: 1,000 peers with a few each, at some kB. One opens
 * 512 at most, and may have started anew before we see that its former ones are gone. Strangers are as many as may wait in
 * the backlog: a whole cluster that dials at once.
 */
export const peerBounds: Bounds = { strangersMax: 1_024, membersMax: 8_192, memberMax: 1_024 };
/** Room for a whole cluster that dials at once: what overflows looks like a dead host to the one who dials. */
const backlog = 1_024;
/** A handshake takes a few ms; a starved peer may need seconds. */
const handshakeMs = 5_000;
const headersMs = 10_000;
/** Longer than the pool at the other side keeps an idle connection, so that closing one is never a race. */
const keepAliveMs = 70_000;

/** Failure `busy` when the port is taken, `denied` when it may not be had, `late` when the signal came first. */
export async function listenPeers(options: PeerListenerOptions, signal: AbortSignal): Promise<PeerListener> {
  const server = serverWith(options.credentials);
  const crowd = new Crowd(options.bounds);
  /** As they were accepted: one that never finishes its handshake is not to hold up the end either. */
  const open = new Set<Socket>();
  /** null: turned away; its socket is gone by then. */
  const peers = new WeakMap<object, Promise<string | null>>();
  /** Whose they have proven to be, members or not yet. */
  const proven = new Map<TLSSocket, string>();

  async function judge(socket: TLSSocket): Promise<string | null> {
    try {
      const peerId = await peerIdOf(socket);
      if (socket.destroyed) return null;
      proven.set(socket, peerId);
      socket.on('close', () => proven.delete(socket));
      if (!(await options.admit(peerId))) throw new Failure('denied', `peer ${peerId}: denied: not a member`);
      // Cut meanwhile: it was a member, and is none.
      if (socket.destroyed) return null;
      crowd.letIn(socket, peerId);
      return peerId;
    } catch (error) {
      socket.destroy();
      options.onRefused(messageOf(error));
      return null;
    }
  }

  server.on('connection', (socket: Socket) => {
    open.add(socket);
    crowd.arrive(socket);
    socket.on('close', () => open.delete(socket));
  });
  server.on('secureConnection', (socket) => void peers.set(socket, judge(socket)));
  server.on('tlsClientError', (error) => options.onRefused(`peer handshake: ${error.message}`));
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    // An idle connection is worth keeping, but not to a listener that has closed.
    response.once('finish', () => !server.listening && request.socket.end());
    void peers.get(request.socket)?.then((peerId) => {
      if (peerId !== null) options.onRequest(request, response, peerId);
    });
  });

  const lines = upgrades(server, options.lines, (socket) => peers.get(socket));

  await listening(server, options, signal);
  // Out of file descriptors, for one: the listener stands, the connection that asked is lost.
  server.on('error', (error) => options.onRefused(`accept peer: ${error.message}`));
  return {
    port: (server.address() as AddressInfo).port,
    cut: (peerId) => {
      for (const [socket, by] of proven) if (by === peerId) socket.destroy();
    },
    close: (deadline) => {
      const done = closed(server, () => open.forEach((socket) => socket.destroy()), deadline);
      for (const line of lines) line.leave();
      return done;
    },
  };
}

function serverWith(credentials: Credentials): Server {
  return createServer({
    ...credentials,
    minVersion: 'TLSv1.3',
    ALPNProtocols: ['http/1.1'],
    requestCert: true,
    // Nobody signs these certificates; peerIdOf decides instead.
    rejectUnauthorized: false,
    // A resumed session may come without a certificate to look at: every connection shows its own.
    secureOptions: constants.SSL_OP_NO_TICKET,
    handshakeTimeout: handshakeMs,
    headersTimeout: headersMs,
    keepAliveTimeout: keepAliveMs,
    noDelay: true,
    // A line may be silent for long; a host that went dark must not keep its end of it open here.
    ...{ keepAlive: true, keepAliveInitialDelay: aliveMs },
  });
}

/** Whoever asks for a line that we know gets one; an older node, which does not, answers as to any other request. */
function upgrades(
  server: Server,
  { protocol, take }: Lines,
  peerOf: (socket: Duplex) => Promise<string | null> | undefined,
): ReadonlySet<Line> {
  const lines = new Set<Line>();
  server.on('upgrade', (request: IncomingMessage, socket: TLSSocket, begun: Buffer) => {
    socket.on('error', () => socket.destroy());
    const asked = (request.headers.upgrade ?? '').split(',').map((name) => name.trim());
    if (!asked.includes(protocol) || !server.listening)
      return socket.end(`HTTP/1.1 426 Upgrade Required\r\nupgrade: ${protocol}\r\nconnection: close\r\n\r\n`);
    return void peerOf(socket)?.then((peerId) => {
      if (peerId === null || socket.destroyed) return;
      socket.write(`HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: ${protocol}\r\n\r\n`);
      const line = take(socket, begun, { peerId, onClosed: () => lines.delete(line) });
      lines.add(line);
    });
  });
  return lines;
}

async function peerIdOf(socket: TLSSocket): Promise<string> {
  if (socket.isSessionReused()) throw new Failure('denied', 'peer: denied: a resumed session');
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) throw new Failure('denied', 'peer: denied: no certificate');
  return peerIdOfCertificate(certificate.raw);
}

function listening(
  server: Server,
  { host, port }: { readonly host: string; readonly port: number },
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const abandon = (): void => {
      server.close();
      reject(new Failure('late', `listen for peers on ${host} port ${port}: late: aborted`, signal.reason));
    };
    if (signal.aborted) return abandon();
    signal.addEventListener('abort', abandon, { once: true });
    server.once('error', (error: NodeJS.ErrnoException) => {
      signal.removeEventListener('abort', abandon);
      reject(listenFailure({ whom: 'peers', host, port }, error.code ?? error.message, error));
    });
    server.listen({ host, port, backlog }, () => {
      signal.removeEventListener('abort', abandon);
      resolve();
    });
  });
}

async function closed(server: Server, cut: () => void, deadline: AbortSignal): Promise<void> {
  const done = new Promise<void>((resolve) => server.close(() => resolve()));
  if (deadline.aborted) cut();
  deadline.addEventListener('abort', cut, { once: true });
  await done;
  deadline.removeEventListener('abort', cut);
}
