import { duplexPair, type Duplex } from 'node:stream';
import type { Dispatcher } from 'undici';
import type { Call } from '../../src/node/call.ts';
import { Failure } from '../../src/std/failure.ts';
import { AnsweringLine } from '../../src/wire/answering.ts';
import { AskingLine } from '../../src/wire/asking.ts';

type Ends = {
  readonly asking: AskingLine;
  readonly answering: AnsweringLine;
  readonly calls: Call[];
  /** Paths of the calls that are to be asked by another line. */
  readonly given: string[];
  readonly sockets: readonly [Duplex, Duplex];
  readonly closed: () => boolean;
};

/** Both ends of one line; `onCall` answers, else calls only gather. */
export function line(
  t: { after(end: () => void): void },
  onCall: (call: Call) => void = () => {},
  held = { bytes: 0 },
): Ends {
  const sockets = duplexPair();
  const calls: Call[] = [];
  const given: string[] = [];
  let isClosed = false;
  const asking = new AskingLine(sockets[0], ({ path }) => given.push(path));
  const answering = new AnsweringLine(sockets[1], Buffer.alloc(0), {
    held,
    onCall: (call) => {
      calls.push(call);
      onCall(call);
    },
    onStuck: () => {},
    onClosed: () => (isClosed = true),
  });
  t.after(() => sockets.forEach((socket) => socket.destroy()));
  return { asking, answering, calls, given, sockets, closed: () => isClosed };
}

/** One call as who asked hears of it. */
export class Heard implements Dispatcher.DispatchHandler {
  controller: Dispatcher.DispatchController | null = null;
  status = 0;
  headers: unknown = null;
  readonly parts: Buffer[] = [];
  bytes = 0;
  end: 'none' | 'whole' | 'lost' = 'none';
  why = '';
  kind: Failure['kind'] | null = null;

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller;
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: unknown): void {
    this.status = status;
    this.headers = headers;
  }

  onResponseData(_controller: Dispatcher.DispatchController, part: Buffer): void {
    this.parts.push(Buffer.from(part));
    this.bytes += part.length;
  }

  onResponseEnd(): void {
    this.end = 'whole';
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.end = 'lost';
    this.why = error.message;
    this.kind = error instanceof Failure ? error.kind : null;
  }

  get text(): string {
    return Buffer.concat(this.parts).toString('utf8');
  }
}

export function ask({ asking }: Ends, path: string, body: string | Buffer = '', idempotent = false): Heard {
  const heard = new Heard();
  asking.dispatch({ method: 'POST', path, headers: { 'x-asked': path }, body, idempotent }, heard);
  return heard;
}
