/**
 * The one HTTP port behind which all APIs of the local cloud stand, as the variable AWS_ENDPOINT_URL wants it.
 *
 *   head ─► which API? (credential scope) ─► signature ─► faults ─► API ─► answer, or AwsError in its dialect
 *
 * A refusal that comes before the body was asked for leaves a client that sent `Expect: 100-continue` without its
 * 100, as S3 does: it learns of a lost conditional write without sending gigabytes.
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { pause } from '../../node/pause.ts';
import type { Clock } from '../../node/ports.ts';
import { authError, faultError } from './auth-error.ts';
import { AwsError, refusal } from './aws-error.ts';
import { readWhole } from './body.ts';
import type { Answer, Api, Call, Dialect } from './call.ts';
import { closeServer } from './close-server.ts';
import type { Credentials } from './credentials.ts';
import type { Faults } from './fault-port.ts';
import { parseAuthorization, sha256Hex, verify, type SignedHead } from './sigv4.ts';

export type Endpoint = { readonly url: string; readonly port: number; close(): Promise<void> };

type Options = {
  readonly apis: readonly Api[];
  readonly credentials: Credentials;
  readonly clock: Clock;
  readonly faults: Faults;
  /** An IPv4 address of this machine. */
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Hears of exceptions that are nobody's refusal: bugs of the emulator. The caller got a 500. */
  report(error: unknown): void;
};

/** A form or JSON body: RunInstances with 16 KB of user data and 1,000 tagged ids both fit many times. */
const wholeBodyBytesMax = 1024 * 1024;
/** A connection on which nothing moves for this long is closed, ms; above any injected delay that makes sense. */
const idleMs = 120_000;

export async function openEndpoint(options: Options): Promise<Endpoint> {
  const server = createServer({ keepAliveTimeout: 60_000, requestTimeout: 0 });
  server.setTimeout(idleMs);
  const onRequest = (req: IncomingMessage, res: ServerResponse, mustContinue: boolean): void => {
    serve(options, req, res, mustContinue).catch((error: unknown) => {
      options.report(error);
      res.destroy();
    });
  };
  server.on('request', (req, res) => onRequest(req, res, false));
  server.on('checkContinue', (req, res) => onRequest(req, res, true));
  server.listen(options.port, options.host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return { url: `http://${options.host}:${port}`, port, close: () => closeServer(server) };
}

async function serve(
  options: Options,
  req: IncomingMessage,
  res: ServerResponse,
  mustContinue: boolean,
): Promise<void> {
  const gone = new AbortController();
  res.once('close', () => gone.abort());
  const requestId = randomUUID();
  const body = bodyOf(req, res, mustContinue);
  const dialect = { now: guessedDialect(req) };
  let answer: Answer | 'drop';
  try {
    answer = await answered(options, { req, requestId, body, signal: gone.signal }, dialect);
  } catch (error) {
    if (gone.signal.aborted || isGone(error)) return;
    if (!(error instanceof AwsError)) options.report(error);
    const known =
      error instanceof AwsError ? error : new AwsError(500, 'InternalError', 'An internal error.');
    answer = refusal(known, dialect.now, requestId);
  }
  if (answer === 'drop') res.destroy();
  // Without its 100 the client may send its body or not; only a closed connection tells the two of us the same.
  else await send(res, answer, requestId, { keepAlive: !mustContinue || body.asked() });
  // What a refusal left unread is read and thrown away: a client that is still sending would never look for it.
  if (!req.complete) req.resume();
}

type Arrival = {
  readonly req: IncomingMessage;
  readonly requestId: string;
  readonly body: AsyncIterable<Uint8Array>;
  readonly signal: AbortSignal;
};

async function answered(
  options: Options,
  { req, requestId, body, signal }: Arrival,
  dialect: { now: Dialect },
): Promise<Answer | 'drop'> {
  const refuse = (problem: Parameters<typeof authError>[0]): AwsError => authError(problem, dialect.now);
  if (req.headers.authorization === undefined) throw refuse('missing');
  const authorization = parseAuthorization(req.headers.authorization);
  if (authorization === null) throw refuse('malformed');
  const api = options.apis.find(({ name }) => name === authorization.service);
  if (api === undefined) throw refuse('malformed');
  dialect.now = api.dialect;

  const streamed = api.dialect === 'rest-xml';
  const whole = streamed ? Buffer.alloc(0) : await readWhole(body, wholeBodyBytesMax);
  const declared = req.headers['x-amz-content-sha256'];
  if (streamed && typeof declared !== 'string')
    throw new AwsError(
      400,
      'InvalidRequest',
      'Missing required header for this request: x-amz-content-sha256',
    );
  const head = signedHead(req);
  const verdict = verify(head, authorization, streamed ? String(declared) : sha256Hex(whole), {
    credentials: options.credentials,
    wallNow: options.clock.wallNow(),
  });
  if (verdict.type === 'refused') throw refuse(verdict.problem);

  const { method, path } = head;
  const { caller, signing } = verdict;
  const query = new URLSearchParams(head.rawQuery);
  const text = whole.toString('utf8');
  const call: Call = {
    requestId,
    caller,
    signing,
    method,
    path,
    query,
    headers: req.headers,
    text,
    body,
    signal,
  };
  const fault = options.faults.before(api.name, api.operation(call), caller.instanceId);
  if (fault !== null) {
    await pause({ clock: options.clock, stopping: signal }, fault.delayMs);
    if (fault.fail === 'drop') return 'drop';
    if (fault.fail !== null) throw faultError(fault.fail, api.dialect);
  }
  return api.answer(call);
}

/** Before the credential scope is read: how a client without one that can be read will understand a refusal. */
function guessedDialect(req: IncomingMessage): Dialect {
  if (req.headers['x-amz-target'] !== undefined) return 'json';
  return req.headers['content-type']?.startsWith('application/x-www-form-urlencoded') ? 'query' : 'rest-xml';
}

function signedHead(req: IncomingMessage): SignedHead {
  const url = req.url ?? '/';
  const cut = url.indexOf('?');
  const headers = new Map<string, string>();
  for (let at = 0; at + 1 < req.rawHeaders.length; at += 2) {
    const name = req.rawHeaders[at]!.toLowerCase();
    const value = req.rawHeaders[at + 1]!;
    headers.set(name, headers.has(name) ? `${headers.get(name)},${value}` : value);
  }
  return {
    method: req.method ?? 'GET',
    path: cut < 0 ? url : url.slice(0, cut),
    rawQuery: cut < 0 ? '' : url.slice(cut + 1),
    headers,
  };
}

type AskedBody = AsyncIterable<Uint8Array> & { asked(): boolean };

function bodyOf(req: IncomingMessage, res: ServerResponse, mustContinue: boolean): AskedBody {
  let asked = false;
  return {
    asked: () => asked,
    async *[Symbol.asyncIterator]() {
      if (mustContinue && !asked) res.writeContinue();
      asked = true;
      // A reader that stops early must still be able to answer, so the socket is not destroyed with the iterator.
      yield* req.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>;
    },
  };
}

async function send(
  res: ServerResponse,
  answer: Answer,
  requestId: string,
  { keepAlive }: { readonly keepAlive: boolean },
): Promise<void> {
  res.writeHead(answer.status, {
    server: 'synkti-localcloud',
    'x-amz-request-id': requestId,
    ...(keepAlive ? {} : { connection: 'close' }),
    ...answer.headers,
    ...(typeof answer.body === 'string' && !('content-length' in answer.headers) && answer.status !== 304
      ? { 'content-length': String(Buffer.byteLength(answer.body)) }
      : {}),
  });
  if (typeof answer.body === 'string') {
    res.end(answer.body);
    return;
  }
  try {
    await pipeline(Readable.from(answer.body, { objectMode: false }), res);
  } catch (error) {
    // Half an answer cannot be taken back: cutting the connection is how the client learns of it.
    if (!res.destroyed) res.destroy();
    if (!isGone(error)) throw error;
  }
}

const isGone = (error: unknown): boolean =>
  error instanceof Error &&
  'code' in error &&
  ['ERR_STREAM_PREMATURE_CLOSE', 'ECONNRESET', 'EPIPE', 'ABORT_ERR'].includes(String(error.code));
