/**
 * Follows a log file line by line, from its beginning. The writers hold the file and not a pipe to us, so that they
 * neither wait for us nor end with us.
 */
import { open } from 'node:fs/promises';

/** Read at once, bytes; a burst of lines beyond it comes with the next look. */
const chunkBytes = 65_536;
/** A longer line is cut into pieces: no fact comes near it. */
const lineCharactersMax = 65_536;

export type LogTail = {
  /** The whole lines written since the last call. A missing file has none yet. */
  read(): Promise<readonly string[]>;
};

export function tailOf(file: string): LogTail {
  let offset = 0;
  let rest = '';
  async function read(): Promise<readonly string[]> {
    const bytes = await readFrom(file, offset);
    offset += bytes.length;
    // A character cut at the end of a chunk is rare and only shown: facts are ASCII but for what people name.
    const lines = (rest + bytes.toString('utf8')).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > lineCharactersMax) lines.push(rest);
    if (rest.length > lineCharactersMax) rest = '';
    return lines.filter((line) => line !== '');
  }
  return { read };
}

async function readFrom(file: string, offset: number): Promise<Buffer> {
  try {
    await using handle = await open(file, 'r');
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(chunkBytes), 0, chunkBytes, offset);
    return buffer.subarray(0, bytesRead);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return Buffer.alloc(0);
    throw error;
  }
}
