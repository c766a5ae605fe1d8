/** A client that does on the socket whatever a test wants, and notes what it is told. */
import { connect, type Socket } from 'node:net';
import { afterReading } from '../../src/gateway/patience.ts';

export type Exchange = {
  readonly status: number;
  readonly head: string;
  readonly body: string;
};

/** Sends all of `bytes`, keeps the connection open, and resolves with the first answer that is complete. */
export function exchange(port: number, bytes: Iterable<string | Buffer>): Promise<Exchange> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let text = '';
    socket.setEncoding('utf8');
    socket.on('data', (part: string) => {
      text += part;
      const answer = complete(text);
      if (answer === null) return;
      socket.destroy();
      resolve(answer);
    });
    socket.on('error', (error) =>
      reject(new Error(`after ${JSON.stringify(text.slice(0, 80))}`, { cause: error })),
    );
    socket.on('close', () => reject(new Error(`closed after ${JSON.stringify(text.slice(0, 200))}`)));
    socket.setTimeout(30_000, () =>
      afterReading(socket, (hasCome) => void (hasCome || socket.destroy(new Error('no answer')))),
    );
    socket.on('connect', () => void sendAll(socket, bytes));
  });
}

/** Goes on sending whatever the other side says, as a client does that reads only when it is done. */
async function sendAll(socket: Socket, bytes: Iterable<string | Buffer>): Promise<void> {
  for (const part of bytes) {
    if (socket.destroyed) return;
    await new Promise<void>((resolve) => socket.write(part, () => resolve()));
  }
}

function complete(all: string): Exchange | null {
  const text = all.replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, '');
  const end = text.indexOf('\r\n\r\n');
  if (end === -1) return null;
  const head = text.slice(0, end);
  const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? Number.NaN);
  const body = text.slice(end + 4);
  if (Number.isNaN(length) || Buffer.byteLength(body) < length) return null;
  return { status: Number(head.split(' ')[1]), head, body };
}
