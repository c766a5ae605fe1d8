/**
 * Connections of clients on which nothing is asked: kept for the next request, or come without one. They are nobody's,
 * since a key comes with a request; whoever opens many would keep others out. So when places get short, each that comes
 * closes the one that was idle for longest. HTTP allows that at any time (RFC 9112, 9.5), and clients ask again by a new one.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Clock } from '../node/ports.ts';
import type { Instant } from '../std/time.ts';
import { closeUnlessHeard } from './patience.ts';

/** Of all places so many are kept free where that can be: each accept gives one back a moment later only. */
const freeShare = 1 / 8;
/** Who has just come, or had an answer, is about to ask. ms */
const aboutMs = 1_000;

/** `kind`: by which event the server tells of a connection that may ask. `open`: how many it has accepted. */
export function keepPlaces(
  server: Server,
  { kind, open }: { readonly kind: 'connection' | 'secureConnection'; readonly open: () => number },
  { connectionsMax, clock }: { readonly connectionsMax: number; readonly clock: Clock },
): void {
  /** Since when, the longest first. */
  const idle = new Map<Socket, Instant>();
  const requests = new Map<Socket, number>();

  function rest(socket: Socket): void {
    if (!socket.destroyed) idle.set(socket, clock.now());
  }

  function makePlace(): void {
    if (open() <= connectionsMax * (1 - freeShare)) return;
    for (const [socket, since] of idle) {
      if (clock.now() - since < aboutMs) return;
      idle.delete(socket);
      return closeUnlessHeard(socket);
    }
  }

  server.on(kind, (socket: Socket) => {
    rest(socket);
    socket.once('close', () => {
      idle.delete(socket);
      requests.delete(socket);
    });
    makePlace();
  });
  server.on('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    idle.delete(socket);
    requests.set(socket, (requests.get(socket) ?? 0) + 1);
    response.once('close', () => {
      const left = (requests.get(socket) ?? 1) - 1;
      if (left > 0) return void requests.set(socket, left);
      requests.delete(socket);
      rest(socket);
    });
  });
}
