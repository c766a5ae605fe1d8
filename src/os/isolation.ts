/**
 * Cuts this process off its peers, for trials of a partition without root and without a firewall. Nothing that a peer
 * sends is read, nothing that we send goes out, and no close is seen at the other end; on healing everything that was
 * held back goes on, as after a partition that TCP survived.
 *
 * It stands between Node's streams and the kernel, in the hooks that a net.Socket inherits: that is the one place that
 * plain and TLS sockets, both ends, old and new, all pass. (`diagnostics_channel` does not tell of the TLS sockets of
 * a server.) Installed only where trials are allowed, and before the first connection; while nothing is isolated the
 * process behaves as ever.
 *
 * What it cannot do: the kernel goes on completing TCP handshakes and acknowledging bytes, so a peer that dials gets a
 * connection that stays silent (a frozen host, not a vanished one), and closing this process ends all connections.
 * Bytes that OpenSSL sends by itself (the first flight of a handshake), and those already handed to the kernel, go
 * out. HTTP/2 and worker threads pass by.
 */
import { Socket } from 'node:net';

/** One end of a connection, as far as it is known. */
export type Ends = {
  readonly localPort: number | undefined;
  readonly remotePort: number | undefined;
  readonly remoteHost: string | undefined;
};

export type Isolation = {
  isolate(): void;
  heal(): void;
  isolated(): boolean;
  /** Heals, and takes the hooks out. */
  close(): void;
};

/** Handles of sockets that were destroyed while isolated, kept open so that the peer sees nothing. Beyond: closed. */
const detachedMax = 4_096;

/** What Node.js keeps under a socket; the parts of it that are touched here have been the same since version 8. */
type Handle = { reading: boolean; readStop(): number; close(): void };
type Hooks = {
  _handle: Handle | null;
  connecting: boolean;
  connect(...args: unknown[]): unknown;
  _read(bytes: number): void;
  _writeGeneric(many: boolean, data: unknown, encoding: unknown, done: (error?: Error) => void): unknown;
  _final(done: (error?: Error) => void): void;
  _destroy(error: Error | null, done: (error?: Error | null) => void): void;
};
type HookedSocket = Omit<Socket, keyof Hooks> & Hooks;

/** `isPeer` is asked of every TCP connection: true for those that a partition would cut. */
export function openIsolation(isPeer: (ends: Ends) => boolean): Isolation {
  const prototype = Socket.prototype as unknown as HookedSocket;
  const { connect, _read, _writeGeneric, _final, _destroy } = prototype;
  const open = new Set<HookedSocket>();
  const held = withheld();
  const detached: Handle[] = [];
  let isolated = false;

  const silent = (socket: HookedSocket): boolean => isolated && isPeer(endsOf(socket));

  /** Every socket that reads comes by here once, before its first byte. */
  function track(socket: HookedSocket): void {
    if (open.has(socket)) return;
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  }

  prototype.connect = function (this: HookedSocket, ...args) {
    const ends = targetOf(args);
    if (!isolated || ends === null || !isPeer(ends)) return connect.apply(this, args);
    this.connecting = true;
    held.add(this, () => connect.apply(this, args));
    return this;
  };
  prototype._read = function (this: HookedSocket, bytes) {
    track(this);
    if (!silent(this)) _read.call(this, bytes);
  };
  prototype._writeGeneric = function (this: HookedSocket, ...args) {
    if (this.connecting || !silent(this)) return _writeGeneric.apply(this, args);
    held.add(this, () => _writeGeneric.apply(this, args));
    return undefined;
  };
  prototype._final = function (this: HookedSocket, done) {
    if (this.connecting || !silent(this)) _final.call(this, done);
    else held.add(this, () => _final.call(this, done));
  };
  prototype._destroy = function (this: HookedSocket, error, done) {
    const handle = this._handle;
    if (handle !== null && !this.connecting && detached.length < detachedMax && silent(this)) {
      quieten(this);
      detached.push(handle);
      this._handle = null;
    }
    _destroy.call(this, error, done);
  };

  function heal(): void {
    if (!isolated) return;
    isolated = false;
    for (const handle of detached.splice(0)) handle.close();
    held.release();
    for (const socket of open) if (!socket.destroyed) _read.call(socket, 0);
  }

  return {
    isolate() {
      if (isolated) return;
      isolated = true;
      for (const socket of open) if (silent(socket)) quieten(socket);
    },
    heal,
    isolated: () => isolated,
    close() {
      heal();
      Object.assign(prototype, { connect, _read, _writeGeneric, _final, _destroy });
    },
  };
}

/** What is done on healing; a socket that closes before takes its part along, so that redials do not pile up. */
function withheld(): { add(socket: HookedSocket, action: () => void): void; release(): void } {
  const bySocket = new Map<HookedSocket, (() => void)[]>();
  return {
    add(socket, action) {
      const actions = bySocket.get(socket);
      if (actions !== undefined) return void actions.push(action);
      bySocket.set(socket, [action]);
      socket.once('close', () => bySocket.delete(socket));
    },
    release() {
      const waiting = [...bySocket].filter(([socket]) => !socket.destroyed);
      bySocket.clear();
      for (const action of waiting.flatMap(([, actions]) => actions)) action();
    },
  };
}

/** Stops the kernel's bytes at the handle: HTTP servers take them there and not from the stream. */
function quieten(socket: HookedSocket): void {
  const handle = socket._handle;
  if (handle === null || socket.connecting) return;
  handle.reading = false;
  handle.readStop();
}

const endsOf = (socket: HookedSocket): Ends => ({
  localPort: socket.localPort,
  remotePort: socket.remotePort,
  remoteHost: socket.remoteAddress,
});

/** Where a connect goes, in any of its forms; null for a Unix socket. */
function targetOf(args: readonly unknown[]): Ends | null {
  const [first, host] = Array.isArray(args[0]) ? (args[0] as unknown[]) : args;
  const options = (typeof first === 'object' ? first : { port: first, host }) as Record<string, unknown>;
  if (options['path'] !== undefined && options['path'] !== null) return null;
  const remoteHost = typeof options['host'] === 'string' ? options['host'] : undefined;
  return { localPort: undefined, remotePort: Number(options['port']), remoteHost };
}
