/**
 * Whom this node knew when it last had word of the others: `members.json` in the data directory. It is written for this
 * instance, key and cluster and counts for nothing else, so that a disk or an image that moves takes no cluster along.
 * What cannot be read is not remembered: then EC2 is asked, as by a node that starts for the first time.
 */
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import type { Report } from '../node/facts.ts';
import { readVouched } from '../node/message.ts';
import type { Memory, Remembered } from '../node/ports.ts';
import { parseObject } from '../std/json.ts';
import { wallTime } from '../std/time.ts';

/** `of`: who remembers; all that the node's tags say. */
export type MemoryPlace = { readonly path: string; readonly of: string };

/** As many as discovery binds. */
const membersMax = 1_000;

/** null: nothing, or what somebody else remembered. Never throws. */
export async function recall({ path, of }: MemoryPlace): Promise<Remembered | null> {
  const text = await readFile(path, 'utf8').catch(() => '');
  const kept = parseObject(text);
  if (kept === null || kept['of'] !== of) return null;
  const { asOf, members } = kept;
  if (typeof asOf !== 'number' || !Array.isArray(members) || members.length > membersMax) return null;
  return { asOf: wallTime(asOf), members: members.flatMap((one: unknown) => readVouched(one) ?? []) };
}

/** One write at a time, each whole or not at all; of what comes meanwhile the newest is written after it. */
export function openMemory({ path, of }: MemoryPlace, report: Report): Memory {
  let next: (() => Promise<void>) | null = null;
  let isBusy = false;

  async function work(): Promise<void> {
    isBusy = true;
    for (let write = next; write !== null; write = next) {
      next = null;
      await write().catch((error: unknown) => report({ fact: 'memory.failed', why: String(error) }));
    }
    isBusy = false;
  }

  function afterOthers(write: () => Promise<void>): void {
    next = write;
    if (!isBusy) void work();
  }

  return {
    keep: ({ members, asOf }) =>
      afterOthers(async () => {
        await writeFile(`${path}.new`, JSON.stringify({ of, asOf, members }), { mode: 0o600 });
        await rename(`${path}.new`, path);
      }),
    erase: () => afterOthers(() => rm(path, { force: true })),
  };
}
