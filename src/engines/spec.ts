/** What to run: all that decides whether a living engine is the wanted one. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { Failure } from '../std/failure.ts';

export type EngineSpec = {
  readonly command: string;
  readonly args: readonly string[];
  /** Set on top of the node's own environment, which is not part of the spec: it differs from start to start. */
  readonly env: Readonly<Record<string, string>>;
  readonly socket: string;
  /** A folder for its temporary files, made before it starts and removed with all in it when it has gone. */
  readonly scratch: string | null;
  /** Whether one request is to be answered before the engine counts as ready. */
  readonly warmUp: boolean;
  /** Whether it computes the same tokens again, whatever else it runs. */
  readonly repeatable: boolean;
};

/** sun_path of unix(7) less its end: 107 bytes on Linux, 103 on macOS. The smaller, so that a path works on both. */
const socketPathBytesMax = 103;

/** The engine's socket in the data directory. Failure `invalid` when the kernel could not take so long a path. */
export function engineSocket(dataDir: string): string {
  const path = join(dataDir, 'engine.sock');
  if (Buffer.byteLength(path) <= socketPathBytesMax) return path;
  throw new Failure('invalid', `engine socket: longer than ${socketPathBytesMax} bytes: ${path}`);
}

/** Equal for specs that give the same engine. */
export function digestOf({ command, args, env, socket }: EngineSpec): string {
  const sorted = Object.entries(env).sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256')
    .update(JSON.stringify([command, args, sorted, socket]))
    .digest('hex');
}
