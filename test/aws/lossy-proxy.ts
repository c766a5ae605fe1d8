import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export type LossyProxy = AsyncDisposable & {
  readonly url: string;
  /** The next answer that begins to come back is cut instead, after what was asked for has been done. */
  loseNextAnswer(): void;
  /** Nothing goes through, and nobody is told. */
  hold(on: boolean): void;
};

/** Between an SDK and a server on the loopback interface: for answers that get lost after the work was done. */
export async function openLossyProxy(target: string): Promise<LossyProxy> {
  const port = Number(new URL(target).port);
  const sockets = new Set<Socket>();
  let lose = false;
  let held = false;
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    for (const socket of [near, far]) {
      sockets.add(socket);
      // Cut on purpose, or by whoever gave up: either way the other side learns of it by the close.
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    near.on('data', (bytes) => {
      if (!held) far.write(bytes);
    });
    far.on('data', (bytes) => {
      if (held) return;
      if (!lose) return void near.write(bytes);
      lose = false;
      near.destroy();
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    loseNextAnswer: () => (lose = true),
    hold: (on) => (held = on),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
