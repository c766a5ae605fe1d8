/**
 * The instance metadata service of one instance, version 2 only, on its own port of the loopback interface. On a
 * real instance the link-local address tells the service who is asking; here the port does.
 *
 * Source: EC2 user guide, "Use the Instance Metadata Service" and "How IMDSv2 works": a token by PUT with a TTL,
 * refused to whoever comes through a proxy; 401 without a good token; 404 as an XHTML page.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pause } from '../../node/pause.ts';
import type { Clock } from '../../node/ports.ts';
import { closeServer } from '../wire/close-server.ts';
import type { Faults } from '../wire/fault-port.ts';
import { openTokens, parseTtl, type Tokens } from './tokens.ts';
import { read, type Tree } from './tree.ts';

export type MetadataListener = { readonly endpoint: string; close(): Promise<void> };

type Options = {
  readonly instanceId: string;
  /** An IPv4 address of this machine. */
  readonly host: string;
  readonly clock: Clock;
  readonly faults: Faults;
  /** What stands below /latest just now. */
  latest(): Tree;
  /** Hears of exceptions: bugs of the emulator. The caller got a 500. */
  report(error: unknown): void;
};

type Reply = {
  readonly status: number;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
};

/** A connection that is silent for this long is closed, ms; nodes ask every half second. */
const idleMs = 60_000;
const ttlHeader = 'x-aws-ec2-metadata-token-ttl-seconds';

export async function openMetadataListener(options: Options): Promise<MetadataListener> {
  const tokens = openTokens();
  const server = createServer({ keepAliveTimeout: idleMs, requestTimeout: 10_000 });
  server.on('request', (req: IncomingMessage, res: ServerResponse) => {
    req.resume();
    serve(options, tokens, req, res).catch((error: unknown) => {
      options.report(error);
      res.destroy();
    });
  });
  server.listen(0, options.host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://${options.host}:${port}`,
    close: () => closeServer(server),
  };
}

async function serve(
  options: Options,
  tokens: Tokens,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  const path = (req.url ?? '/').split('?')[0]!;
  const fault = options.faults.before('imds', path.replace(/^\/latest\//, ''), options.instanceId);
  const gone = new AbortController();
  res.once('close', () => gone.abort());
  if (fault !== null) await pause({ clock: options.clock, stopping: gone.signal }, fault.delayMs);
  if (res.destroyed) return;
  if (fault?.fail === 'drop') {
    res.destroy();
    return;
  }
  const failing = fault?.fail ?? null;
  const reply = failing === null ? await answer(options, tokens, { req, path }) : page(failing);
  const isPage = reply.body.startsWith('<?xml');
  res.writeHead(reply.status, {
    server: 'EC2ws',
    'content-type': isPage ? 'text/html' : 'text/plain',
    'content-length': String(Buffer.byteLength(reply.body)),
    ...reply.headers,
  });
  res.end(req.method === 'HEAD' ? undefined : reply.body);
}

async function answer(
  options: Options,
  tokens: Tokens,
  { req, path }: { readonly req: IncomingMessage; readonly path: string },
): Promise<Reply> {
  const now = options.clock.now();
  if (req.method === 'PUT')
    return path === '/latest/api/token' ? issue(tokens, req, options.clock) : page(405);
  if (req.method !== 'GET' && req.method !== 'HEAD') return page(405);
  const token = req.headers['x-aws-ec2-metadata-token'];
  const seconds = typeof token === 'string' ? tokens.remaining(token, now) : null;
  if (seconds === null) return page(401);
  const [, root, ...rest] = path.split('/').map(decoded);
  const body = root === 'latest' ? await read(options.latest(), rest) : null;
  return body === null ? page(404) : { status: 200, body, headers: { [ttlHeader]: String(seconds) } };
}

function issue(tokens: Tokens, req: IncomingMessage, clock: Clock): Reply {
  if (req.headers['x-forwarded-for'] !== undefined) return page(403);
  const ttl = parseTtl(req.headers[ttlHeader]);
  if (ttl === null) return page(400);
  return { status: 200, body: tokens.issue(ttl, clock.now()), headers: { [ttlHeader]: String(ttl) } };
}

const titles: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Not Allowed',
  409: 'Conflict',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
};

/** Errors are whole XHTML pages, which has broken clients that took any body for an answer. */
function page(status: number): Reply {
  const title = `${status} - ${titles[status]}`;
  const body = `<?xml version="1.0" encoding="iso-8859-1"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"
	"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
 <head>
  <title>${title}</title>
 </head>
 <body>
  <h1>${title}</h1>
 </body>
</html>
`;
  return { status, body };
}

/** An ill-formed escape names nothing that is there. */
function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch (error) {
    if (error instanceof URIError) return segment;
    throw error;
  }
}
