/**
 * The bytes of objects and parts, one immutable file each, and small JSON documents beside them.
 *
 * Everything is written under another name and renamed when whole, so a killed emulator leaves old or new, never
 * half. It does not `fsync`: it promises to outlive its own process, not the machine.
 */
import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { link, mkdir, open, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ByteRange } from './range.ts';

type BlobWriter = {
  readonly blob: string;
  write(bytes: Uint8Array): Promise<void>;
  /** Gives the file its name. */
  keep(): Promise<void>;
  discard(): Promise<void>;
};

export type Blobs = {
  create(): Promise<BlobWriter>;
  read(blob: string, range: ByteRange): AsyncIterable<Uint8Array>;
  /** Keeps these files until the returned function is called, even if they are dropped meanwhile. */
  hold(blobs: readonly string[]): () => void;
  drop(blobs: readonly string[]): Promise<void>;
  /** A second name for the same bytes, at no cost. */
  copy(blob: string): Promise<string>;
  /** Drops every file not in `wanted`: left behind by an emulator that was killed between two steps. */
  dropOthers(wanted: ReadonlySet<string>): Promise<void>;
  writeDocument(path: string, content: unknown): Promise<void>;
};

/** Bytes read from the disk at once; what a slow reader makes us hold. */
const readBytes = 256 * 1024;

/** `report` hears of a file that could not be removed after its last reader had left. */
export async function openBlobs(dir: string, report: (error: unknown) => void): Promise<Blobs> {
  const unfinished = join(dir, 'unfinished');
  const finished = join(dir, 'blobs');
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { recursive: true });
  await mkdir(finished, { recursive: true });
  const holds = new Map<string, number>();
  const dropped = new Set<string>();
  const pathOf = (blob: string): string => join(finished, blob);

  async function drop(blobs: readonly string[]): Promise<void> {
    for (const blob of blobs) {
      if (holds.has(blob)) dropped.add(blob);
      else await rm(pathOf(blob), { force: true });
    }
  }

  async function release(blobs: readonly string[]): Promise<void> {
    for (const blob of blobs) {
      const left = (holds.get(blob) ?? 1) - 1;
      if (left > 0) holds.set(blob, left);
      else holds.delete(blob);
    }
    const free = blobs.filter((blob) => !holds.has(blob) && dropped.delete(blob));
    await drop(free);
  }

  return {
    drop,
    create: () => createBlob(unfinished, pathOf),
    read: (blob, { first, last }) =>
      createReadStream(pathOf(blob), { start: first, end: last, highWaterMark: readBytes }),
    hold(blobs) {
      for (const blob of blobs) holds.set(blob, (holds.get(blob) ?? 0) + 1);
      return () => void release(blobs).catch(report);
    },
    async copy(blob) {
      const name = randomUUID();
      await link(pathOf(blob), pathOf(name));
      return name;
    },
    async dropOthers(wanted) {
      await drop((await readdir(finished)).filter((blob) => !wanted.has(blob)));
    },
    async writeDocument(path, content) {
      const draft = join(unfinished, randomUUID());
      await writeFile(draft, JSON.stringify(content));
      await rename(draft, path);
    },
  };
}

async function createBlob(unfinished: string, pathOf: (blob: string) => string): Promise<BlobWriter> {
  const blob = randomUUID();
  const draft = join(unfinished, blob);
  const file = await open(draft, 'wx');
  return {
    blob,
    async write(bytes) {
      for (let at = 0; at < bytes.length;) at += (await file.write(bytes, at)).bytesWritten;
    },
    async keep() {
      await file.close();
      await rename(draft, pathOf(blob));
    },
    async discard() {
      await file.close();
      await rm(draft, { force: true });
    },
  };
}
