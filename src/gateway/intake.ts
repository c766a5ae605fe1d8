/**
 * Takes in the body of a request, up to a bound. Who is refused in the middle of sending still gets to read why: a
 * connection that is closed with unread bytes on it is reset by the kernel, and the reset overtakes the answer. So the
 * answer goes out whole, and what still comes is read and dropped for a while before the connection ends.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Pieces } from '../std/pieces.ts';
import { complaintJson } from '../stream/answer.ts';
import { noRoom } from '../stream/refusal.ts';
import { encoded, refused, reply, tooLarge, type Reply } from './reply.ts';
import { roomFor, type Share } from './room.ts';

/** How much of a refused body is dropped before the connection is cut, and for how long. */
const lingerBytesMax = 64 * 1_024 ** 2;
const lingerMs = 5_000;
/** A body this small is not worth a connection. */
const droppedBytesMax = 256 * 1_024;

/** Bytes of bodies that are being taken in by one server at a time, divided between keys: beyond it newcomers are told to come back. */
const heldBytesMax = 512 * 1_024 ** 2;

export type Intake = {
  /** The body; null: there is none to be had, and the client was told or is gone. `owner`: whose part it takes meanwhile. */
  read(request: IncomingMessage, response: ServerResponse, owner: string): Promise<Buffer | null>;
};

export function openIntake(bytesMax: number): Intake {
  const room = roomFor(heldBytesMax);

  /** What is said to be coming takes nothing before it comes: to say so costs nothing. */
  function refusalFor(declared: number, share: Share): Reply | null {
    if (declared > bytesMax) return tooLarge(bytesMax);
    const lack = share.lack(declared);
    return lack === null ? null : refused(noRoom('large requests', lack));
  }

  function read(request: IncomingMessage, response: ServerResponse, owner: string): Promise<Buffer | null> {
    const share = room.of(owner);
    const declared = declaredBytes(request);
    const refusal = codingRefusal(request) ?? refusalFor(declared === Infinity ? 0 : declared, share);
    if (refusal !== null) {
      refuse(request, response, refusal);
      return Promise.resolve(null);
    }
    return new Promise((resolve) => {
      const pieces = new Pieces();
      let bytes = 0;
      const settle = (body: Buffer | null): void => {
        share.giveBack(bytes);
        bytes = 0;
        request.off('data', take).off('end', whole).off('close', gone);
        resolve(body);
      };
      const take = (part: Buffer): void => {
        const late = bytes + part.length > bytesMax ? tooLarge(bytesMax) : refusalFor(part.length, share);
        if (late !== null) {
          refuse(request, response, late);
          return settle(null);
        }
        bytes += part.length;
        share.take(part.length);
        pieces.add(part);
      };
      const whole = (): void => settle(pieces.all());
      const gone = (): void => settle(null);
      request.on('data', take).on('end', whole).on('close', gone);
    });
  }

  return { read };
}

/** Answers at once. What little may still come Node drops by itself; for the rest the connection is used up. */
export function refuse(request: IncomingMessage, response: ServerResponse, refusal: Reply): void {
  if (declaredBytes(request) <= droppedBytesMax) return reply(response, refusal);
  const body = complaintJson(refusal.complaint);
  response.writeHead(refusal.status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    connection: 'close',
    ...refusal.headers,
  });
  // The whole answer, but not its end: that would close the connection.
  response.write(body);
  let dropped = 0;
  const timer = setTimeout(() => response.destroy(), lingerMs);
  request.on('data', (part: Buffer) => {
    dropped += part.length;
    if (dropped > lingerBytesMax) response.destroy();
  });
  request.on('end', () => response.end());
  request.on('error', () => response.destroy());
  response.on('close', () => clearTimeout(timer));
  request.resume();
}

/**
 * No client of OpenAI's encodes what it sends, and no engine decodes it: a small body may unfold to gigabytes. Of
 * the header no more is said again than the name of a coding takes.
 */
function codingRefusal({ headers }: IncomingMessage): Reply | null {
  const coding = headers['content-encoding']?.trim() ?? '';
  return /^(identity)?$/i.test(coding) ? null : encoded(coding.slice(0, 64));
}

/** Infinite where only the end of the body will tell. */
const declaredBytes = ({ headers }: IncomingMessage): number =>
  headers['transfer-encoding'] === undefined ? Number(headers['content-length'] ?? 0) : Infinity;
