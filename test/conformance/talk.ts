/**
 * A plain HTTP/1.1 client on a Unix socket that keeps what most clients hide: how an answer ended, and what had
 * arrived until then.
 */
import { request, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';

export type Ask = {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** A string is sent as it is, anything else as JSON. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
};

/**
 * complete: the framing said so. cut: the connection ended before. silent: still open when we stopped waiting.
 * refused: no connection. hung up: a connection, but no status line.
 */
export type Ending = 'complete' | 'cut' | 'silent' | 'refused' | 'hung up';

export type Answer = {
  readonly status: number | null;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly end: Ending;
};

/** An exchange under way. `sofar` tells what has arrived; `hangUp` leaves as a client does. */
export type Call = { readonly answer: Promise<Answer>; sofar(): string; hangUp(): void };

/** Longer than any single exchange of the list on a busy machine, ms; the first logprobs of a vLLM take 20 s. */
const patienceMs = 90_000;

export function call(socketPath: string, ask: Ask, options: { readonly waitMs?: number } = {}): Call {
  const body =
    ask.body === undefined ? undefined : typeof ask.body === 'string' ? ask.body : JSON.stringify(ask.body);
  const defaults =
    body === undefined
      ? {}
      : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) };
  const { promise, resolve } = Promise.withResolvers<Answer>();
  let response: IncomingMessage | null = null;
  let received = '';
  const finish = (end: Ending): void => {
    clearTimeout(late);
    resolve({ status: response?.statusCode ?? null, headers: response?.headers ?? {}, body: received, end });
    outgoing.destroy();
  };
  const outgoing = request({
    socketPath,
    method: ask.method,
    path: ask.path,
    headers: { ...defaults, connection: 'close', ...ask.headers },
    agent: false,
  });
  const late = setTimeout(() => finish('silent'), options.waitMs ?? patienceMs);
  outgoing.on('error', (error: NodeJS.ErrnoException) =>
    finish(error.code === 'ECONNREFUSED' || error.code === 'ENOENT' ? 'refused' : 'hung up'),
  );
  outgoing.on('response', (incoming) => {
    response = incoming;
    incoming.setEncoding('utf8');
    incoming.on('data', (text: string) => (received += text));
    incoming.on('error', () => finish('cut'));
    incoming.on('close', () => finish(incoming.complete ? 'complete' : 'cut'));
  });
  outgoing.end(body);
  return { answer: promise, sofar: () => received, hangUp: () => finish('silent') };
}

export const ask = (
  socketPath: string,
  what: Ask,
  options: { readonly waitMs?: number } = {},
): Promise<Answer> => call(socketPath, what, options).answer;

/** The `data:` lines of an event stream; `[DONE]` stays a string. A line cut in the middle is left out. */
export function eventsOf(body: string): readonly unknown[] {
  return body
    .split('\n\n')
    .slice(0, -1)
    .filter((block) => block.startsWith('data: '))
    .map((block) => block.slice('data: '.length))
    .map((data) => (data === '[DONE]' ? data : (JSON.parse(data) as unknown)));
}
