/**
 * An engine as a gateway sees it: HTTP on a Unix socket, answers as scripted, one event after the other. It can be told
 * to break off, freeze, drain or answer nonsense, and it remembers what it was asked and what runs on it.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import type { LegRequest } from '../../src/stream/continuation.ts';
import { eosId, respond, wordId, type Script } from '../stream/scripted-engine.ts';

export type Mode =
  | 'well'
  /** Takes requests, answers their head, and never says a word. */
  | 'silent'
  /** Answers their head, and ends. */
  | 'mute'
  /** Breaks the connection before any head. */
  | 'broken'
  /** As vLLM does between SIGTERM and its end. */
  | 'draining'
  | 'unauthorized'
  | 'lost'
  /** Every prompt is too long for it. */
  | 'short'
  /** Its core is gone, and its server not yet. */
  | 'dead';

export type Asked = {
  readonly path: string;
  readonly body: Record<string, unknown>;
  readonly headers: IncomingMessage['headers'];
};

export const tooLong = {
  message: "This model's maximum context length is 4096 tokens, and the prompt has more.",
  ...{ type: 'BadRequestError', param: 'input_tokens', code: 400 },
};

export class FakeEngine {
  mode: Mode = 'well';
  /** Between two events. */
  paceMs = 1;
  /** What it says that an answer had which is passed through, or on in one piece; null: nothing. */
  outputTokens: number | null = null;
  /** Events between the first and the last of a stream that is passed through. */
  pieces = 1;
  /** How large the rest of an answer in one piece is, bytes, and when its end comes. */
  padding = 0;
  lastWord: Promise<void> = Promise.resolve();
  /** Such answers of which all but the end is written. */
  written = 0;
  script: Script = counting(20);
  readonly asked: Asked[] = [];
  readonly #open = new Set<ServerResponse>();
  readonly #server: Server;
  readonly socketPath: string;

  constructor(socketPath: string) {
    this.socketPath = socketPath;
    this.#server = createServer((request, response) => void this.#answer(request, response));
    this.#server.keepAliveTimeout = 5_000;
  }

  get running(): number {
    return this.#open.size;
  }

  /** Bytes of answers that nobody has taken yet. */
  get unsent(): number {
    return [...this.#open].reduce((sum, { writableLength }) => sum + writableLength, 0);
  }

  listen(): Promise<void> {
    return new Promise((resolve) => this.#server.listen(this.socketPath, resolve));
  }

  /** Ends what runs on it, and goes on. */
  breakOff(): void {
    this.#server.closeAllConnections();
  }

  /** Its core dies: what runs on it ends by an error, and its server goes on for a while. */
  loseCore(): void {
    this.mode = 'dead';
    for (const response of this.#open)
      response.end(`data: {"error": ${JSON.stringify(coreDead)}}\n\ndata: [DONE]\n\n`);
  }

  /** Breaks every open connection, as a SIGKILL does; the socket file stays and refuses. */
  async die(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.mode === 'broken') return void request.socket.destroy();
    this.#open.add(response);
    response.on('close', () => this.#open.delete(response));
    const raw = (await request.toArray()).join('');
    if (request.method === 'GET')
      return this.#whole(response, 200, { object: 'list', data: [{ id: 'tiny' }] });
    const path = request.url ?? '';
    const isForm = request.headers['content-type']?.startsWith('multipart/') === true;
    const body = isForm ? { form: raw } : (JSON.parse(raw) as Record<string, unknown>);
    this.asked.push({ path, body, headers: request.headers });
    if (this.mode === 'unauthorized') return this.#whole(response, 401, { error: 'Unauthorized' });
    if (this.mode === 'dead') return this.#whole(response, 500, { error: coreDead });
    if (this.mode === 'lost') return this.#whole(response, 404, { detail: 'Not Found' });
    if (this.mode === 'short') return this.#whole(response, 400, { error: tooLong });
    if (body['top_p'] === 2)
      return this.#whole(response, 400, {
        error: { message: 'top_p', type: 'BadRequestError', param: 'top_p', code: 400 },
      });
    if (this.mode === 'draining') {
      const error = {
        message: 'cannot schedule new futures after shutdown',
        type: 'InternalServerError',
        param: null,
        code: 500,
      };
      return this.#whole(response, 500, { error });
    }
    if (!path.endsWith('/completions')) return this.#other(response, path, body);
    await this.#stream(response, path, body);
  }

  /** What is passed through: an answer in one piece that says what was asked, or some events. */
  async #other(response: ServerResponse, path: string, body: Record<string, unknown>): Promise<void> {
    const usage = this.outputTokens === null ? {} : { usage: { output_tokens: this.outputTokens } };
    if (body['stream'] !== true) {
      await pause(this.paceMs, null, { ref: false });
      if (this.padding === 0) return this.#whole(response, 200, { path, by: this.socketPath, ...usage });
      response.writeHead(200, { 'content-type': 'application/json' }).write(' '.repeat(this.padding));
      this.written++;
      await this.lastWord;
      return void response.end('{}');
    }
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    response.flushHeaders();
    const going = Array.from({ length: this.pieces }, () => 'going.delta');
    for (const event of ['begun', ...going, 'done']) {
      while (this.mode === 'silent' && !response.destroyed) await pause(5);
      if (response.destroyed) return;
      const said = event === 'done' ? { path, ...usage } : { path };
      response.write(`event: ${event}\ndata: ${JSON.stringify(said)}\n\n`);
      await pause(this.paceMs);
    }
    response.end();
  }

  #whole(response: ServerResponse, status: number, body: object): void {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body));
  }

  async #stream(response: ServerResponse, path: string, body: Record<string, unknown>): Promise<void> {
    const leg: LegRequest = {
      path: path === '/v1/chat/completions' ? path : '/v1/completions',
      body: JSON.stringify(body),
      streamed: true,
    };
    const events = respond(this.script, leg);
    if (body['stream'] !== true) {
      await pause(this.paceMs * events.length);
      const choices = [{ index: 0, message: { content: 'whole' }, finish_reason: 'stop' }];
      const usage = this.outputTokens === null ? {} : { usage: { completion_tokens: this.outputTokens } };
      return this.#whole(response, 200, { id: 'whole', choices, ...usage });
    }
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    response.flushHeaders();
    if (this.mode === 'mute') return void response.end();
    for (const event of events) {
      while (this.mode === 'silent' && !response.destroyed) await pause(5);
      if (response.destroyed || response.writableEnded) return;
      response.write(`data: ${event}\n\n`);
      if (this.paceMs > 0) await pause(this.paceMs);
    }
    response.end();
  }
}

export const promptIds: readonly number[] = [...Buffer.from('count')];

const coreDead = {
  message: 'EngineCore encountered an issue. See stack trace (above) for the root cause.',
  ...{ type: 'InternalServerError', param: null, code: 500 },
};

/** An answer of `count` numbers, one token each. */
export const counting = (count: number): Script => ({
  id: 'first',
  promptIds,
  answer: [...Array.from({ length: count }, (_, i) => wordId(` ${i + 1}`)), eosId],
});

export const countedText = (count: number): string =>
  Array.from({ length: count }, (_, i) => ` ${i + 1}`).join('');
