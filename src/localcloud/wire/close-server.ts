import { once } from 'node:events';
import type { Server } from 'node:http';

/** Cuts what is under way: whoever asks of a cloud that ends has no answer. */
export async function closeServer(server: Server): Promise<void> {
  if (!server.listening) return;
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await closed;
}
