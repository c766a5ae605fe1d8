/**
 * Requests that are no HTTP: a header without end, two lengths for one body, a client that sends a byte a second. There
 * is no request object for them, only the socket, on which an answer is written by hand. As with a body that is too
 * large, what still comes is read for a moment, so that the answer is not overtaken by a reset.
 */
import { STATUS_CODES, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { complaintJson } from '../stream/answer.ts';
import { afterReading, closeUnlessHeard } from './patience.ts';

const lingerMs = 2_000;

const answers: Readonly<Record<string, readonly [status: number, message: string]>> = {
  HPE_HEADER_OVERFLOW: [431, 'The request header is too large.'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'The request took too long to arrive.'],
  HPE_UNEXPECTED_CONTENT_LENGTH: [
    400,
    'A request has either a Content-Length or a Transfer-Encoding, not both.',
  ],
  HPE_INVALID_TRANSFER_ENCODING: [
    400,
    'A request has either a Content-Length or a Transfer-Encoding, not both.',
  ],
};

const told = new WeakSet<Socket>();

/** `graceMs`: for the rest of a request that is too late, of which some lay here unread: it was us who stood still. */
export function complainOnSocket(error: NodeJS.ErrnoException, socket: Socket, graceMs: number): void {
  // The parser complains again about each further byte.
  if (told.has(socket)) return;
  if (error.code === 'ECONNRESET' || !socket.writable || isAnswering(socket)) return void socket.destroy();
  if (error.code !== 'ERR_HTTP_REQUEST_TIMEOUT') return complain(error, socket);
  // Opened ahead and not used yet: an answer would be taken for that of the request that is just being sent.
  if (socket.bytesRead === 0) return closeUnlessHeard(socket);
  afterReading(socket, (hasCome) => {
    if (!hasCome) return complain(error, socket);
    const { bytesWritten } = socket;
    const timer = setTimeout(() => {
      if (isArriving(socket, bytesWritten)) complain(error, socket);
    }, graceMs);
    socket.once('close', () => clearTimeout(timer));
  });
}

function complain(error: NodeJS.ErrnoException, socket: Socket): void {
  if (told.has(socket)) return;
  told.add(socket);
  const [status, message] = answers[error.code ?? ''] ?? [400, 'This is not an HTTP request.'];
  tell(socket, status, message);
}

/** Of whoever takes us for a proxy (RFC 9110, 9.3.6): Node.js gives its socket away and would cut it. */
export function refuseTunnel(socket: Socket): void {
  socket.on('error', () => socket.destroy());
  socket.resume();
  tell(socket, 405, 'Method CONNECT is not allowed here.');
}

function tell(socket: Socket, status: number, message: string): void {
  const body = complaintJson({ message, type: 'invalid_request_error', param: null, code: null });
  socket.end(
    [
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
      'Content-Type: application/json',
      `Content-Length: ${Buffer.byteLength(body)}`,
      'Connection: close',
      '',
      body,
    ].join('\r\n'),
  );
  const timer = setTimeout(() => socket.destroy(), lingerMs);
  socket.on('close', () => clearTimeout(timer));
}

/** A response is under way on this socket: a second head in the middle of it would only confuse its reader. */
const isAnswering = (socket: Socket): boolean => responseOn(socket)?.headersSent === true;

/** Whether the request that was too late has still not come. `bytesWritten`: before any answer to it. */
const isArriving = (socket: Socket, bytesWritten: number): boolean =>
  socket.bytesWritten === bytesWritten && responseOn(socket)?.req.complete !== true;

const responseOn = (socket: Socket): ServerResponse | null =>
  (socket as { _httpMessage?: ServerResponse | null })._httpMessage ?? null;
