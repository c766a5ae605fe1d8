/**
 * The HTTP server that clients of every kind talk to, hostile ones included. It bounds what a connection may send, how
 * long it may take, and how many there are; what is left is a small table of routes. Node's own limits stand in front
 * of everything: a request that breaks them never becomes one, and is told why on the bare socket.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Clock } from '../node/ports.ts';
import { Failure } from '../std/failure.ts';
import type { Endpoint } from '../stream/chunk.ts';
import { openCompletions } from './completions.ts';
import { openGenerations, type GenerationPorts } from './generations.ts';
import { requestIdHeader, requestIdOf } from './headers.ts';
import { refuse } from './intake.ts';
import { listedModels } from './models.ts';
import { lookMs, openOutlet, type Outlet } from './outlet.ts';
import { complainOnSocket } from './protocol-errors.ts';
import { busy, notFound, reply, replyJson, wrongMethod } from './reply.ts';

export type GatewayOptions = {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly bodyBytesMax: number;
};

export type GatewayPorts = GenerationPorts & {
  readonly clock: Clock;
  /** The text of /metrics. */
  readonly metrics: () => Promise<string>;
};

export type Gateway = {
  readonly port: number;
  /** Stops accepting, lets running requests finish until the signal aborts, then cuts them. */
  close(signal: AbortSignal): Promise<void>;
};

/** Open connections; each costs some 20 kB while idle. */
const connectionsMax = 10_000;
/** A line of headers is a few hundred bytes; clients with cookies and traces send some kB. */
const headerBytesMax = 16_384;
/** Who sends a header, or a whole body, this slowly is not there to be served. ms */
const headersMs = 15_000;
const requestMs = 120_000;
const checkMs = 2_000;
/** Above the idle time of every client and load balancer we know (an AWS ALB's is 60 s): they close first. */
const keepAliveMs = 75_000;
/** For the last words of streams that are cut when the server closes. */
const lastWordMs = 200;

type Route = (
  request: IncomingMessage,
  response: ServerResponse,
  about: { outlet: Outlet; id: string },
) => void;

/** Failure `busy` when the port is taken, `denied` when it may not be had. */
export async function openGateway(options: GatewayOptions, ports: GatewayPorts): Promise<Gateway> {
  const { serving, clock } = ports;
  const generations = openGenerations(ports);
  const completions = openCompletions({ serving, generations, bodyBytesMax: options.bodyBytesMax });
  const startedAt = clock.wallNow();
  const outlets = new Set<Outlet>();
  const complete =
    (endpoint: Endpoint): Route =>
    (request, response, about) =>
      void completions.answer(endpoint, request, response, about);

  const routes: Readonly<Record<string, Readonly<Record<string, Route>>>> = {
    '/v1/chat/completions': { POST: complete('chat') },
    '/v1/completions': { POST: complete('completions') },
    '/v1/models': {
      GET: (_, response) => replyJson(response, 200, listedModels(serving.models(), startedAt)),
    },
    '/healthz': { GET: (_, response) => replyJson(response, 200, '{"status":"ok"}') },
    '/readyz': {
      GET: (_, response) => {
        const admission = serving.admission();
        if (admission.open) replyJson(response, 200, '{"status":"ready"}');
        else replyJson(response, 503, JSON.stringify({ status: admission.reason }));
      },
    },
    '/metrics': { GET: (_, response) => void expose(response) },
  };

  async function expose(response: ServerResponse): Promise<void> {
    try {
      const text = await ports.metrics();
      response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' });
      response.end(text);
    } catch (error) {
      reply(response, busy(`The metrics cannot be told: ${String(error)}`, 'no_metrics', 1_000));
    }
  }

  function onRequest(request: IncomingMessage, response: ServerResponse): void {
    const id = requestIdOf(request.headers);
    const path = pathOf(request);
    const begunAt = clock.now();
    const outlet = openOutlet(response, (why) => serving.report({ fact: 'request.cut', why, request: id }));
    outlets.add(outlet);
    response.setHeader(requestIdHeader, id);
    response.on('close', () => {
      outlets.delete(outlet);
      const route = routes[path] === undefined ? 'other' : path;
      const ms = Math.round(clock.now() - begunAt);
      serving.report({ fact: 'request.answered', request: id, route, status: response.statusCode, ms });
    });
    if (!server.listening) response.shouldKeepAlive = false;
    dispatch(request, response, { outlet, id, path });
  }

  function dispatch(
    request: IncomingMessage,
    response: ServerResponse,
    about: { outlet: Outlet; id: string; path: string },
  ): void {
    const methods = Object.hasOwn(routes, about.path) ? routes[about.path] : undefined;
    if (methods === undefined) return refuse(request, response, notFound(about.path));
    const method = request.method ?? '';
    const route = Object.hasOwn(methods, method) ? methods[method] : undefined;
    if (route === undefined)
      return refuse(request, response, wrongMethod(method, Object.keys(methods).join(', ')));
    route(request, response, about);
  }

  const server = createServer(
    {
      maxHeaderSize: headerBytesMax,
      headersTimeout: headersMs,
      requestTimeout: requestMs,
      connectionsCheckingInterval: checkMs,
      keepAliveTimeout: keepAliveMs,
      noDelay: true,
    },
    onRequest,
  );
  server.maxConnections = connectionsMax;
  // Who asks before sending is told before sending: a body that is too large never leaves its client.
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    if (Number(request.headers['content-length'] ?? 0) <= options.bodyBytesMax) response.writeContinue();
    onRequest(request, response);
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => complainOnSocket(error, socket));
  const looking = setInterval(() => {
    const now = performance.now();
    for (const outlet of outlets) outlet.look(now);
  }, lookMs);
  looking.unref();

  await listening(server, options);
  return {
    port: (server.address() as AddressInfo).port,
    close: async (signal) => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      const cut = (): void => {
        generations.cut();
        setTimeout(() => server.closeAllConnections(), lastWordMs);
      };
      if (signal.aborted) cut();
      signal.addEventListener('abort', cut, { once: true });
      await closed;
      signal.removeEventListener('abort', cut);
      clearInterval(looking);
      generations.close();
    },
  };
}

const pathOf = ({ url = '/' }: IncomingMessage): string => {
  const query = url.indexOf('?');
  return query === -1 ? url : url.slice(0, query);
};

function listening(
  server: ReturnType<typeof createServer>,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const kind = error.code === 'EADDRINUSE' ? 'busy' : 'denied';
      reject(
        new Failure(
          kind,
          `listen for clients on ${host} port ${port}: ${kind}: ${error.code ?? error.message}`,
          error,
        ),
      );
    });
    server.listen({ host, port }, () => resolve());
  });
}
