/**
 * The HTTP server that clients of every kind talk to, hostile ones included. It bounds what a connection may send, how
 * long that may take, and how many there are. Node's own limits stand in front of everything: a request that breaks
 * them never becomes one, and is told why on the bare socket.
 */
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createSecureServer, type Server as SecureServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { createSecureContext } from 'node:tls';
import { openGenerations } from '../node/generations.ts';
import type { Journals } from '../node/journals.ts';
import { listenFailure } from '../node/listen-failure.ts';
import type { Clock } from '../node/ports.ts';
import type { Serving } from '../node/serving.ts';
import type { Stories } from '../node/stories.ts';
import { Failure, messageOf } from '../std/failure.ts';
import type { MemberId } from '../std/member-id.ts';
import type { Rng } from '../std/random.ts';
import type { Accounts } from './accounts.ts';
import { openCors } from './cors.ts';
import { openEntrance } from './entrance.ts';
import { requestIdHeader, requestIdOf } from './headers.ts';
import { keepPlaces } from './idle.ts';
import type { KeyTable } from './keys.ts';
import { legsBy } from './leg.ts';
import { watchOutlets } from './outlet.ts';
import { openPassthrough } from './passthrough.ts';
import { readBeforeClosing } from './patience.ts';
import { complainOnSocket, refuseTunnel } from './protocol-errors.ts';
import { roomFor } from './room.ts';
import { openRoutes } from './routes.ts';
import type { Way } from './way.ts';

type Address = {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
};

type Limits = {
  readonly bodyBytesMax: number;
  /** Of a form, which carries a file. */
  readonly formBytesMax: number;
  /** Open at once, for all keys together. */
  readonly connectionsMax: number;
  /** Running answers, for all keys together. */
  readonly generationsMax: number;
  /** Of answers in one piece, all together. */
  readonly answersBytesMax: number;
  /** Origins of pages that may use the API; `*`: all. */
  readonly corsOrigins: readonly string[];
  /** null: clients talk plain HTTP, to us or to whoever ends TLS in front of us. */
  readonly tls: Certificate | null;
};

/** PEM. */
export type Certificate = { readonly cert: Buffer; readonly key: Buffer };

type GatewayPorts = {
  readonly serving: Serving;
  readonly journals: Journals;
  readonly stories: Stories;
  /** Connections to a member's engine; null: there is no way to it just now. */
  readonly dispatcherTo: (member: MemberId) => Way | null;
  readonly clock: Clock;
  readonly rng: Rng;
  /** The text of /metrics. */
  readonly metrics: () => Promise<string>;
  /** null: the API is open to all. */
  readonly keys: () => KeyTable | null;
  /** What the keys use, here and everywhere. */
  readonly accounts: Accounts;
};

export type Gateway = {
  readonly port: number;
  /** For connections from now on; null where there is none to renew. Failure `invalid`: it is none, and nothing changes. */
  readonly renew: ((certificate: Certificate) => void) | null;
  /** Stops accepting, lets running requests finish until the signal aborts, then cuts them. */
  close(signal: AbortSignal): Promise<void>;
};

/** Open connections; each costs some 20 kB while idle. */
export const connectionsMax = 10_000;
/** Connections that are not accepted yet: a burst of a thousand clients is an ordinary morning. */
const backlog = 1_024;

const limits = {
  /** A line of headers is a few hundred bytes; clients with cookies and traces send some kB. */
  maxHeaderSize: 16_384,
  /** Who sends a header, or a whole body, this slowly is not there to be served. ms */
  headersTimeout: 15_000,
  requestTimeout: 120_000,
  connectionsCheckingInterval: 2_000,
  // Node.js would refuse without a word; `hostless` does with one.
  requireHostHeader: false,
  /** Above the idle time of every client and load balancer we know (an AWS ALB's is 60 s, Go's 90 s): they close first. ms */
  keepAliveTimeout: 105_000,
  /** Closed so much later than announced: a client that stood still meanwhile sends on what it should have given up. ms */
  keepAliveTimeoutBuffer: 15_000,
  noDelay: true,
} as const;

/** A handshake of TLS takes some 100 ms to the other side of the world; a phone on a bad line needs seconds. ms */
const handshakeMs = 10_000;

/** For the last words of streams that are cut when the server closes, ms. */
const lastWordMs = 200;

/** Failure `busy` when the port is taken, `denied` when it may not be had. */
export async function openGateway(options: Address & Limits, ports: GatewayPorts): Promise<Gateway> {
  const { serving, journals, stories, dispatcherTo, clock, rng, metrics, keys } = ports;
  const room = roomFor(options.answersBytesMax);
  const openLeg = legsBy({ self: serving.self, dispatcherTo, room });
  const generations = openGenerations({
    ...{ serving, journals, stories, openLeg, clock, rng },
    generationsMax: options.generationsMax,
  });
  const outlets = watchOutlets();
  const { bodyBytesMax, formBytesMax } = options;
  const entrance = openEntrance({ accounts: ports.accounts, serving, clock });
  const passthrough = openPassthrough(options, { serving, generations, dispatcherTo, clock, entrance, room });
  const startedAt = clock.wallNow();
  const routes = openRoutes({
    ...{ serving, generations, entrance, passthrough, bodyBytesMax, metrics, startedAt, keys },
    requestsMax: options.connectionsMax,
  });

  const cors = openCors(options.corsOrigins);

  const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    const id = requestIdOf(request.headers);
    const arrivedAt = clock.now();
    response.setHeader(requestIdHeader, id);
    response.on('close', () => {
      const ms = clock.now() - arrivedAt;
      // 499, as nginx has it: the client left before it was told anything.
      const status = response.headersSent ? response.statusCode : 499;
      serving.report({ fact: 'request.answered', request: id, route: routes.nameOf(request), status, ms });
      // A server that closes waits for connections which were told, before that, that they may stay.
      if (!server.listening) server.closeIdleConnections();
    });
    if (!server.listening) response.shouldKeepAlive = false;
    if (cors.answers(request, response)) return;
    const outlet = outlets.open(response, (why) => serving.report({ fact: 'request.cut', why, request: id }));
    routes.answer(request, response, { outlet, id, arrivedAt });
  };
  const { server, renew } = serverFor(options.tls, onRequest);
  server.maxConnections = options.connectionsMax;
  // Who asks before sending is told before sending: a body that is too large never leaves its client.
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    if (Number(request.headers['content-length'] ?? 0) <= Math.max(bodyBytesMax, formBytesMax))
      response.writeContinue();
    server.emit('request', request, response);
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) =>
    complainOnSocket(error, socket, limits.headersTimeout),
  );
  server.on('connect', (_: IncomingMessage, socket: Socket) => refuseTunnel(socket));
  readBeforeClosing(server);
  const sockets = socketsOf(server);
  const kind = options.tls === null ? 'connection' : 'secureConnection';
  keepPlaces(server, { kind, open: () => sockets.size }, { ...options, clock });

  await listening(server, options);
  // Out of file descriptors, for one: the listener stands, the connection that asked is lost.
  server.on('error', () => serving.report({ fact: 'request.cut', why: 'accept', request: '' }));
  return {
    ...{ port: (server.address() as AddressInfo).port, renew },
    close: async (signal) => {
      const cutSockets = (): void => sockets.forEach((socket) => socket.destroy());
      await closed(server, { cutStreams: generations.cut, cutSockets }, signal);
      outlets.close();
      passthrough.close();
      entrance.close();
      generations.close();
    },
  };
}

function serverFor(
  tls: Limits['tls'],
  onRequest: RequestListener,
): Pick<Gateway, 'renew'> & { readonly server: Server | SecureServer } {
  if (tls === null) return { server: createServer(limits, onRequest), renew: null };
  const secure = { ...limits, ...secured(tls), handshakeTimeout: handshakeMs };
  const server = createSecureServer(secure, onRequest);
  // Without a handshake there is no way to say a word to whoever is there.
  server.on('tlsClientError', (_, socket) => socket.destroy());
  return { server, renew: (certificate) => server.setSecureContext(secured(certificate)) };
}

/** Failure `invalid`: certificate and key are none, or do not belong together. */
function secured(certificate: Certificate): Certificate & { readonly minVersion: 'TLSv1.2' } {
  const options = { ...certificate, minVersion: 'TLSv1.2' } as const;
  try {
    createSecureContext(options);
    return options;
  } catch (error) {
    throw new Failure('invalid', `certificate and key for clients: invalid: ${messageOf(error)}`, error);
  }
}

/** As they were accepted. Under TLS the server itself knows of a connection only once its handshake is done. */
function socketsOf(server: Server): ReadonlySet<Socket> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  return sockets;
}

async function closed(
  server: Server,
  { cutStreams, cutSockets }: { readonly cutStreams: () => void; readonly cutSockets: () => void },
  signal: AbortSignal,
): Promise<void> {
  const done = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const cut = (): void => {
    cutStreams();
    setTimeout(cutSockets, lastWordMs);
  };
  if (signal.aborted) cut();
  signal.addEventListener('abort', cut, { once: true });
  await done;
  signal.removeEventListener('abort', cut);
}

function listening(server: Server, { host, port }: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(listenFailure({ whom: 'clients', host, port }, error.code ?? error.message, error));
    });
    server.listen({ host, port, backlog }, () => {
      server.removeAllListeners('error');
      resolve();
    });
  });
}
