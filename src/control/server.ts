/**
 * What an operator asks of a node, as HTTP over a Unix socket in the data directory. Who may open the socket may do
 * everything: the directory (0700) and the socket (0600) are the whole access control, and no TCP port leads here.
 */
import { chmod } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Failure, type FailureKind } from '../std/failure.ts';
import { directoryFailure } from '../node/directory-failure.ts';
import type { Operations } from '../node/operations.ts';
import { drainOrder, explainOrder, isolateOrder, leaveOrder, parsed, type Parser } from './protocol.ts';
import { claimSocket } from './socket-file.ts';

/** The largest order is some fifty bytes. */
const bodyBytesMax = 4_096;
/** To send a request in full; what a local command needs is under a millisecond. */
const requestMs = 5_000;
/** Between two looks for connections that took longer. */
const checkMs = 1_000;
/** Commands, a dashboard and a dev table ask one at a time; more than this is a mistake in a loop. */
export const connectionsMax = 64;
/** For answers under way when the node stops. */
const closeMs = 2_000;

type ControlOptions = {
  readonly dataDir: string;
  readonly operations: Operations;
  /** For a drain whose order says nothing of its time, ms. */
  readonly drainMs: number;
  /** Cuts the node off from its peers or joins it again; null: faults are not allowed here. */
  readonly isolate: ((on: boolean) => void) | null;
};

export type ControlServer = { readonly path: string; close(): Promise<void> };

/** Failure `busy`: a node runs in this data directory already; `denied`, `invalid`: its socket cannot be made. */
export async function openControl(options: ControlOptions): Promise<ControlServer> {
  const path = await claimSocket(options.dataDir);
  const server = createServer(
    { requestTimeout: requestMs, headersTimeout: requestMs, connectionsCheckingInterval: checkMs },
    (request, response) => {
      void answer(options, request, response);
    },
  );
  makeRoom(server);
  await listen(server, path).catch((error: unknown) => {
    throw directoryFailure(options.dataDir, error);
  });
  // Out of descriptors, for one: the listener stands, and who asked comes again.
  server.on('error', () => {});
  await chmod(path, 0o600);
  return { path, close: () => close(server) };
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ path }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** Of too many connections the oldest gives way that waits for no answer: those who only hang on keep nobody out. */
function makeRoom(server: Server): void {
  const open = new Set<Socket>();
  const idle = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    open.add(socket);
    idle.add(socket);
    socket.once('close', () => {
      open.delete(socket);
      idle.delete(socket);
    });
    const [oldest] = idle;
    if (open.size <= connectionsMax || oldest === undefined) return;
    open.delete(oldest);
    idle.delete(oldest);
    oldest.destroy();
  });
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request;
    request.once('end', () => idle.delete(socket));
    response.once('finish', () => open.has(socket) && idle.add(socket));
  });
}

/** The socket file goes with the server. */
async function close(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const late = setTimeout(() => server.closeAllConnections(), closeMs);
  await closed;
  clearTimeout(late);
}

const statusOf: Readonly<Record<FailureKind, number>> = {
  missing: 404,
  denied: 403,
  busy: 409,
  unreachable: 502,
  late: 504,
  invalid: 400,
};

/** The edge where every failure of an order becomes an answer; a broken invariant still ends the process. */
async function answer(
  options: ControlOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    reply(response, 200, await perform(options, request));
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    reply(response, statusOf[error.kind], { error: { kind: error.kind, message: error.message } });
  }
}

function reply(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body);
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
  });
  response.end(text);
}

async function perform(options: ControlOptions, request: IncomingMessage): Promise<unknown> {
  const { operations, isolate, drainMs } = options;
  const asked = `${request.method} ${request.url}`;
  const order = async <T>(schema: Parser<T>): Promise<T> =>
    parsed(schema, await readJson(request), `${asked}: not such an order`);
  switch (asked) {
    case 'GET /status':
      return operations.status();
    case 'GET /members':
      return operations.members();
    case 'POST /members/explain': {
      const { id } = await order(explainOrder);
      const explanation = await operations.explainMember(id);
      if (explanation === null) throw new Failure('missing', `member ${id}: not known here`);
      return explanation;
    }
    case 'POST /streams/explain': {
      const { id } = await order(explainOrder);
      return operations.explainStream(id);
    }
    case 'POST /drain': {
      const { reason, withinMs } = await order(drainOrder);
      operations.drain(reason, withinMs ?? drainMs);
      return operations.status();
    }
    case 'POST /leave': {
      const { withinMs } = await order(leaveOrder);
      await operations.leave(withinMs ?? drainMs);
      return operations.status();
    }
    case 'POST /faults/isolate': {
      const { on } = await order(isolateOrder);
      if (isolate === null) throw new Failure('denied', `${asked}: this node does not run with --faults`);
      isolate(on);
      return operations.status();
    }
    default:
      throw new Failure('missing', `${asked}: no such request`);
  }
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > bodyBytesMax) throw new Failure('invalid', `body: more than ${bodyBytesMax} bytes`);
      chunks.push(chunk);
    }
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch (error) {
    throw error instanceof Failure ? error : new Failure('invalid', 'body: not JSON', error);
  }
}
