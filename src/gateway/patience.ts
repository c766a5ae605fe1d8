/**
 * Connections that Node.js would close because nothing came by them for too long. After a stall of ours nobody knows that:
 * its timers come before what lies in the sockets, and a request in there would be answered by a reset.
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/** A kept connection on which nothing more is asked. */
export const readBeforeClosing = (server: Server): void =>
  void server.on('timeout', (socket: Socket) => afterReading(socket, () => socket.destroy()));

/** Unless something comes by then: what lies in the socket is read before the second turn from now. */
export function afterReading(socket: Socket, end: () => void): void {
  const { bytesRead } = socket;
  setImmediate(() =>
    setImmediate(() => {
      if (socket.bytesRead === bytesRead) end();
    }),
  );
}
