/**
 * The control API: POST /<operation> with a JSON object, over a Unix socket that only its owner can open. An error is
 * `{"error":{"message":…}}` and says what is wrong with which field.
 */
import { once } from 'node:events';
import { chmod, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { Failure, messageOf, type FailureKind } from '../std/failure.ts';
import { isOperationName, type Operate } from './control-operations.ts';
import { AwsError } from './wire/aws-error.ts';
import { readWhole } from './wire/body.ts';
import { closeServer } from './wire/close-server.ts';

type ControlServer = { readonly socket: string; close(): Promise<void> };

/** The kernel's bound on a socket's path, less the terminating zero (unix(7)). */
const pathBytesMax = 107;
const bodyBytesMax = 64 * 1024;
/** How long a request may take to arrive, ms. */
const requestMs = 5_000;

const statuses: Readonly<Record<FailureKind, number>> = {
  missing: 404,
  denied: 409,
  busy: 503,
  unreachable: 502,
  late: 504,
  invalid: 400,
};

export async function openControlServer(options: {
  readonly socket: string;
  readonly operate: Operate;
  report(error: unknown): void;
}): Promise<ControlServer> {
  const { socket, operate, report } = options;
  if (Buffer.byteLength(socket) > pathBytesMax)
    throw new Failure(
      'invalid',
      `control socket ${socket}: longer than ${pathBytesMax} bytes: use a shorter directory`,
    );
  await removeStale(socket);
  const server = createServer({ requestTimeout: requestMs });
  server.on('request', (req: IncomingMessage, res: ServerResponse) => {
    serve(operate, report, req, res).catch((error: unknown) => {
      report(error);
      res.destroy();
    });
  });
  server.listen(socket);
  await once(server, 'listening');
  // Before this line the directory, which is closed to others, is the protection.
  await chmod(socket, 0o600);
  return { socket, close: () => closeServer(server) };
}

/** A socket file on which nobody listens was left by a crash; one that answers belongs to another cloud. */
async function removeStale(socket: string): Promise<void> {
  const probe = connect(socket);
  try {
    await once(probe, 'connect');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ECONNREFUSED') return rm(socket, { force: true });
    if (code === 'ENOENT') return;
    throw new Failure('denied', `control socket ${socket}: ${code}`, error);
  } finally {
    probe.destroy();
  }
  throw new Failure('denied', `control socket ${socket}: another local cloud is running there`);
}

async function serve(
  operate: Operate,
  report: (error: unknown) => void,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  const gone = new AbortController();
  res.once('close', () => gone.abort());
  let status = 200;
  let body: unknown;
  try {
    body = await answered(operate, req, gone.signal);
  } catch (error) {
    status = statusOf(error);
    if (status === 500) report(error);
    body = { error: { message: messageOf(error) } };
  }
  res.writeHead(status, { 'content-type': 'application/json' });
  res.end(JSON.stringify(body) + '\n');
}

async function answered(operate: Operate, req: IncomingMessage, signal: AbortSignal): Promise<unknown> {
  const name = (req.url ?? '/').slice(1);
  if (!isOperationName(name)) throw new Failure('missing', `operation ${name}: there is no such operation`);
  if (req.method !== 'POST') throw new Failure('invalid', `operation ${name}: use POST`);
  const text = (await readWhole(req, bodyBytesMax)).toString('utf8');
  return operate(name, parsed(text), signal);
}

/** `operate` checks the shape; here it only has to be JSON. */
function parsed(text: string): never {
  try {
    return JSON.parse(text === '' ? '{}' : text) as never;
  } catch (error) {
    throw new Failure('invalid', 'body: not JSON', error);
  }
}

function statusOf(error: unknown): number {
  if (error instanceof Failure) return statuses[error.kind];
  return error instanceof AwsError ? error.status : 500;
}
