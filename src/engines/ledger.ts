/**
 * What a node writes down about the engine that it started, so that its next life finds it again: `engine.json` in the
 * data directory. It is a hint and no proof: whoever reads it checks that the process is still that process.
 */
import { readFile, rename, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { parseJson } from '../std/json.ts';

const schema = z.object({
  pid: z.int().min(2),
  /** With the pid it names one process; see ProcessTable.startOf. */
  start: z.string().min(1),
  /** Of the spec that it was started with. */
  digest: z.string(),
});
type Entry = z.infer<typeof schema>;

/** null: nothing written down, or nothing that makes sense. */
export async function readLedger(path: string): Promise<Entry | null> {
  try {
    return schema.safeParse(parseJson(await readFile(path, 'utf8'))).data ?? null;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** Whole or not at all: a torn entry would cost a living engine. */
export async function writeLedger(path: string, entry: Entry): Promise<void> {
  await writeFile(`${path}.new`, JSON.stringify(entry), { mode: 0o600 });
  await rename(`${path}.new`, path);
}
