/** A call of another node that came as a request of HTTP/1.1, by a connection of its own. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Call } from '../node/call.ts';
import { everyone } from '../std/room.ts';
import type { Intake } from './intake.ts';

export class HttpCall implements Call {
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #intake: Intake;

  constructor(request: IncomingMessage, response: ServerResponse, intake: Intake) {
    this.#request = request;
    this.#response = response;
    this.#intake = intake;
  }

  get method(): string {
    return this.#request.method ?? '';
  }

  get path(): string {
    return this.#request.url ?? '';
  }

  get headers(): Call['headers'] {
    return this.#request.headers;
  }

  /** The intake has the bound. */
  body(): Promise<Buffer | null> {
    return this.#intake.read(this.#request, this.#response, everyone);
  }

  get isAnswered(): boolean {
    return this.#response.headersSent;
  }

  get isOver(): boolean {
    return this.#response.destroyed || this.#response.writableEnded;
  }

  answer(status: number, headers: Readonly<Record<string, string>>): void {
    if (this.isOver) return;
    this.#response.writeHead(status, headers);
    this.#response.flushHeaders();
  }

  write(part: Uint8Array): boolean {
    return this.#response.write(part);
  }

  end(): void {
    this.#response.end();
  }

  destroy(): void {
    this.#response.destroy();
  }

  onDrain(listener: () => void): void {
    this.#response.on('drain', listener);
  }

  onClose(listener: () => void): void {
    this.#response.on('close', listener);
  }
}
