/**
 * One HTTP request and its answer, as uvicorn would send it: the same headers in the same order, no hint of Node.js,
 * an idle connection that is kept without saying so.
 */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { parseBody, type JsonObject } from './body.ts';
import { engineDead, Refusal } from './refusal.ts';

/** Far above any prompt that fits the context; what comes beyond it is thrown away. */
const bodyBytesMax = 64 * 2 ** 20;

/** The client hung up before it had sent its whole request: nobody is left to answer. */
export class ClientGone extends Error {
  override readonly name = 'ClientGone';
}

/** For an answer from outside the middleware that adds `vary`. */
export const bare = { vary: '' };

export class Exchange {
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #sendsId: boolean;
  readonly path: string;
  readonly query: URLSearchParams;

  constructor(request: IncomingMessage, response: ServerResponse, options: { readonly sendsId: boolean }) {
    this.#request = request;
    this.#response = response;
    this.#sendsId = options.sendsId;
    const [path, query] = (request.url ?? '/').split('?', 2);
    this.path = path!;
    this.query = new URLSearchParams(query ?? '');
    response.sendDate = false;
  }

  get method(): string {
    return this.#request.method ?? 'GET';
  }

  header(name: string): string | null {
    const value = this.#request.headers[name];
    return typeof value === 'string' ? value : null;
  }

  /** The id of a new generation: the header's, else the body's, else a random one. */
  requestId(fromBody: string | null): string {
    return this.header('x-request-id') ?? fromBody ?? randomId();
  }

  async json(): Promise<JsonObject> {
    return parseBody(await this.#body(), this.#request.headers['content-type']);
  }

  #body(): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    let parts: Buffer[] = [];
    let size = 0;
    this.#request.on('data', (part: Buffer) => {
      size += part.length;
      if (size <= bodyBytesMax) return void parts.push(part);
      parts = [];
      reject(new Refusal(413, 'BadRequestError', 'The request body is too large.', null));
    });
    this.#request.on('end', () => resolve(Buffer.concat(parts).toString('utf8')));
    this.#request.on('close', () => reject(new ClientGone()));
    return promise;
  }

  /** Null: an empty body. */
  respond(status: number, body: object | null): void {
    const text = body === null ? '' : JSON.stringify(body);
    this.respondText(status, text, body === null ? null : 'application/json');
  }

  respondText(
    status: number,
    text: string,
    type: string | null,
    extra: Readonly<Record<string, string>> = {},
  ): void {
    if (this.#response.destroyed || this.#response.headersSent) return;
    const typed = type === null ? {} : { 'content-type': type };
    this.#head(status, { ...extra, 'content-length': `${Buffer.byteLength(text)}`, ...typed });
    this.#response.end(text);
  }

  refuse(error: unknown): void {
    if (!(error instanceof Refusal)) throw error;
    const text = JSON.stringify(error.body);
    this.respondText(error.status, text, 'application/json', error.isBare ? bare : {});
  }

  /** Sends 200 and the headers now; what goes wrong later can only be said in the stream. */
  stream(): EventStream {
    this.#head(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    this.#response.flushHeaders();
    return new EventStream(this.#response);
  }

  #head(status: number, special: Readonly<Record<string, string>>): void {
    const keeps = this.#response.shouldKeepAlive;
    if (keeps) this.#response.removeHeader('connection');
    const headers: Record<string, string> = {
      date: new Date().toUTCString(),
      server: 'uvicorn',
      ...special,
      vary: special['vary'] ?? 'Origin',
      ...(this.#sendsId
        ? { 'x-request-id': this.header('x-request-id') ?? randomBytes(16).toString('hex') }
        : {}),
      ...(keeps ? {} : { connection: 'close' }),
    };
    if (headers['vary'] === '') delete headers['vary'];
    this.#response.writeHead(status, headers);
  }

  get status(): number {
    return this.#response.statusCode;
  }

  /** Calls back once, when the client went before its answer was complete. */
  onGone(gone: () => void): void {
    this.#response.once('close', () => {
      if (!this.#response.writableFinished) gone();
    });
  }
}

/** As vLLM makes them: 16 hex digits. */
export const randomId = (): string => randomBytes(8).toString('hex');

class EventStream {
  readonly #response: ServerResponse;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  /** False: what was sent has not been read yet. */
  get isReady(): boolean {
    return !this.#response.writableNeedDrain;
  }

  onReady(ready: () => void): void {
    this.#response.on('drain', ready);
  }

  send(chunk: object): void {
    if (!this.#response.destroyed) this.#response.write(`data: ${JSON.stringify(chunk)}\n\n`);
  }

  end(): void {
    if (!this.#response.destroyed) this.#response.end('data: [DONE]\n\n');
  }

  /** vLLM writes this one with Python's default spaces. */
  endWithEngineDeath(): void {
    if (this.#response.destroyed) return;
    const { message, type } = engineDead().body.error;
    const fields = `"message": "${message}", "type": "${type}", "param": null, "code": 500`;
    this.#response.write(`data: {"error": {${fields}}}\n\n`);
    this.end();
  }
}
