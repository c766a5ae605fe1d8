/**
 * What the engine prints. It goes to a file and not through us, because the engine must outlive us; so it is we who
 * keep the file from growing: a new one for every engine, and one that is too long is copied aside and emptied (the
 * engine appends, so it goes on at the front; a line written between the two is lost).
 */
import { copyFile, open, rename, stat, truncate } from 'node:fs/promises';

/** Days of vLLM's log, with one like it kept aside: bytes. */
const fileBytesMax = 16 * 1_024 * 1_024;
/** A failed start of vLLM prints some 60 KB; the cause stands before most of it. Bytes. */
const causeBytesMax = 512 * 1_024;
/** A cause is a line for a person: characters. */
const causeCharsMax = 400;

/** Makes room for a new engine's output; that of the last one stays readable beside it. */
export async function turnOver(path: string): Promise<void> {
  await unlessMissing(rename(path, `${path}.1`));
}

export async function keepBounded(path: string): Promise<void> {
  const size = await sizeOf(path);
  if (size <= fileBytesMax) return;
  // Emptied even where there is no room for the copy: a full disk would be worse than a lost log.
  await copyFile(path, `${path}.1`).finally(() => truncate(path, 0));
}

export async function sizeOf(path: string): Promise<number> {
  return (await unlessMissing(stat(path)))?.size ?? 0;
}

/** Why it ended, as far as what it printed after `from` tells; null when it printed nothing. */
export async function readCause(path: string, from: number): Promise<string | null> {
  const file = await unlessMissing(open(path, 'r'));
  if (file === null) return null;
  try {
    const { size } = await file.stat();
    // Shorter than `from`: it was emptied since.
    const start = Math.max(from <= size ? from : 0, size - causeBytesMax);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size - start), 0, size - start, start);
    return causeFromOutput(buffer.toString('utf8', 0, bytesRead));
  } finally {
    await file.close();
  }
}

/** A line of vLLM's log: process, and the text behind time and place. */
const errorLine = /^(?:\((\w+?)(?:_\w+)? pid=\d+\) )?ERROR [\d-]+ [\d:]+ \[[^\]]*\] ?(.*)$/;
/** The last line of a Python traceback, or of a usage error: `ValueError: …`, `vllm: error: …`. */
const exceptionLine = /^(?:[\w.]+(?:Error|Exception|Interrupt|Exit)\b|[\w -]+: error:)/;

/**
 * vLLM's last line is of the process that noticed; the cause is the first exception logged by the process that failed,
 * an engine core or a worker. Where none of them logged one, the last exception printed, or else the last line.
 */
export function causeFromOutput(output: string): string | null {
  const lines = output.split('\n').map((line) => line.trimEnd());
  const errors = lines.flatMap((line) => {
    const [, process = '', text = ''] = errorLine.exec(line) ?? [];
    return text === '' ? [] : [{ isServer: process === 'APIServer', text }];
  });
  const inner = errors.filter(({ isServer }) => !isServer).map(({ text }) => text);
  const outer = [...errors.filter(({ isServer }) => isServer).map(({ text }) => text), ...lines];
  const cause =
    inner.find((text) => exceptionLine.test(text)) ??
    inner[0] ??
    explained(
      outer,
      outer.findLastIndex((text) => exceptionLine.test(text)),
    ) ??
    lines.findLast((line) => line !== '');
  return cause?.slice(0, causeCharsMax) ?? null;
}

/** Pydantic says what is wrong in the line below the exception. */
function explained(lines: readonly string[], index: number): string | undefined {
  const [line, below = ''] = lines.slice(index < 0 ? lines.length : index);
  return line !== undefined && /^ +\S/.test(below) ? `${line}: ${below.trim()}` : line;
}

async function unlessMissing<T>(work: Promise<T>): Promise<T | null> {
  try {
    return await work;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
