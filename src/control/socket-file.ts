/** The control socket's place in the data directory, and who may take it. */
import { rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { directoryFailure } from '../node/directory-failure.ts';
import { Failure } from '../std/failure.ts';

/** sockaddr_un.sun_path holds 108 bytes on Linux and 104 on macOS, with the final zero. */
const pathBytesMax = process.platform === 'darwin' ? 103 : 107;
/** A live node accepts at once; one that is stopped still has its kernel accept. */
const probeMs = 2_000;

/** Failure `invalid` where the path is longer than a socket's may be. */
export function controlSocket(dataDir: string): string {
  const path = join(dataDir, 'control.sock');
  const bytes = Buffer.byteLength(path);
  if (bytes <= pathBytesMax) return path;
  const limit = `a socket's path has at most ${pathBytesMax} bytes and this one ${bytes}`;
  throw new Failure('invalid', `data directory ${dataDir}: ${limit}: choose a shorter one`);
}

/** Clears away the socket of a node that died. Failure `busy`: a node runs here; `denied`: it is not ours to clear. */
export async function claimSocket(dataDir: string): Promise<string> {
  const path = controlSocket(dataDir);
  if (await isAnswered(path))
    throw new Failure('busy', `data directory ${dataDir}: a node already runs here`);
  await rm(path, { force: true }).catch((error: unknown) => {
    throw directoryFailure(dataDir, error);
  });
  return path;
}

/** A stopped process answers too, and rightly: its node is still there. */
export function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const settle = (answered: boolean): void => {
      socket.destroy();
      resolve(answered);
    };
    socket.setTimeout(probeMs, () => settle(true));
    socket.once('connect', () => settle(true));
    socket.once('error', () => settle(false));
  });
}
