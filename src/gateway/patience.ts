/**
 * Connections that Node.js would close because nothing came by them for too long. After a stall of ours nobody knows that:
 * its timers come before what lies in the sockets, and a request in there would be answered by a reset.
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/** A kept connection on which nothing more is asked. */
export const readBeforeClosing = (server: Server): void => void server.on('timeout', closeUnlessHeard);

export const closeUnlessHeard = (socket: Socket): void =>
  afterReading(socket, (hasCome) => void (hasCome || socket.destroy()));

/** Tells whether something came by then. */
export function afterReading(socket: Socket, then: (hasCome: boolean) => void): void {
  const { bytesRead } = socket;
  inTwoTurns(() => then(socket.bytesRead !== bytesRead));
}

/** What lies in a socket now is read before that. */
export const inTwoTurns = (then: () => void): void => void setImmediate(() => setImmediate(then));
