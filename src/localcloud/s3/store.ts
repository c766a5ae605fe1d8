/**
 * Buckets, objects and unfinished uploads: an index in memory over documents on disk.
 *
 *   buckets/<name>/bucket.json                    objects/<sha256 of key>.json     uploads/<id>/{upload,<part>}.json
 *   blobs/<uuid>, named by the documents          unfinished/, emptied at the start
 *
 * A document is what makes a blob belong to something: it is renamed into place before anyone may see it, and what
 * it replaced is dropped after. Whatever lies between is swept at the next start.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { z } from 'zod';
import { AwsError } from '../wire/aws-error.ts';
import { openBlobs, type Blobs } from './blobs.ts';
import { addKey, compareKeys, removeKey } from './keys.ts';
import {
  bucketShape,
  objectShape,
  partShape,
  uploadShape,
  type Bucket,
  type Part,
  type StoredObject,
  type Upload,
} from './stored.ts';
import { openTurns, type Turns } from './turns.ts';

/** Called with what the key holds at the last moment before it changes; throws AwsError to keep it from changing. */
type Judge = (current: StoredObject | undefined) => void;

export type Store = {
  readonly blobs: Blobs;
  readonly buckets: ReadonlyMap<string, Bucket>;
  /** Creates the bucket or changes its rules. */
  saveBucket(bucket: z.infer<typeof bucketShape>): Promise<void>;
  dropBucket(bucket: Bucket): Promise<void>;
  /** Puts the object in the place of whatever has its key. */
  commit(bucket: Bucket, object: StoredObject, judge: Judge): Promise<void>;
  remove(bucket: Bucket, key: string, judge: Judge): Promise<void>;
  startUpload(bucket: Bucket, upload: Upload): Promise<void>;
  /** Puts the part in the place of an earlier one of its number. Throws AwsError when the upload is gone. */
  savePart(bucket: Bucket, upload: Upload, part: Part): Promise<void>;
  /** Makes an object of the upload, which then is gone. Null: it was gone already, and nothing was done. */
  completeUpload(
    bucket: Bucket,
    upload: Upload,
    assemble: () => StoredObject,
    judge: Judge,
  ): Promise<StoredObject | null>;
  abortUpload(bucket: Bucket, upload: Upload): Promise<void>;
};

type Disk = {
  readonly dir: string;
  readonly blobs: Blobs;
  readonly buckets: Map<string, Bucket>;
  readonly turns: Turns;
};

export async function openStore(dir: string, report: (error: unknown) => void): Promise<Store> {
  await mkdir(join(dir, 'buckets'), { recursive: true });
  const blobs = await openBlobs(dir, report);
  const disk: Disk = { dir, blobs, buckets: await load(join(dir, 'buckets')), turns: openTurns() };
  await blobs.dropOthers(blobsNamed(disk.buckets));
  return {
    blobs,
    buckets: disk.buckets,
    saveBucket: (bucket) => saveBucket(disk, bucket),
    async dropBucket({ name }) {
      disk.buckets.delete(name);
      await rm(join(dir, 'buckets', name), { recursive: true, force: true });
    },
    commit: (bucket, object, judge) => commit(disk, bucket, object, judge),
    remove: (bucket, key, judge) => remove(disk, bucket, key, judge),
    async startUpload(bucket, upload) {
      await mkdir(uploadDir(disk, bucket, upload), { recursive: true });
      const { parts: _, ...document } = upload;
      await blobs.writeDocument(join(uploadDir(disk, bucket, upload), 'upload.json'), document);
      bucket.uploads.set(upload.id, upload);
    },
    savePart: (bucket, upload, part) => savePart(disk, bucket, upload, part),
    completeUpload: (bucket, upload, assemble, judge) =>
      disk.turns(upload.id, async () => {
        if (bucket.uploads.get(upload.id) !== upload) return null;
        const object = assemble();
        await commit(disk, bucket, object, judge);
        await endUpload(disk, bucket, upload, new Set(object.segments.map(({ blob }) => blob)));
        return object;
      }),
    abortUpload: (bucket, upload) => disk.turns(upload.id, () => endUpload(disk, bucket, upload, new Set())),
  };
}

async function saveBucket(
  disk: Disk,
  { name, createdAt, rules }: z.infer<typeof bucketShape>,
): Promise<void> {
  const root = join(disk.dir, 'buckets', name);
  await mkdir(join(root, 'objects'), { recursive: true });
  await mkdir(join(root, 'uploads'), { recursive: true });
  await disk.blobs.writeDocument(join(root, 'bucket.json'), { name, createdAt, rules });
  const known = disk.buckets.get(name);
  if (known !== undefined) known.rules = rules;
  else {
    const empty = { objects: new Map(), keys: [], uploads: new Map() };
    disk.buckets.set(name, { name, createdAt, rules, ...empty });
  }
}

const commit = (disk: Disk, bucket: Bucket, object: StoredObject, judge: Judge): Promise<void> =>
  disk.turns(`${bucket.name}/${object.key}`, async () => {
    if (disk.buckets.get(bucket.name) !== bucket) throw noSuchBucket(bucket.name);
    const before = bucket.objects.get(object.key);
    judge(before);
    await disk.blobs.writeDocument(objectPath(disk, bucket, object.key), object);
    bucket.objects.set(object.key, object);
    addKey(bucket.keys, object.key);
    await disk.blobs.drop((before?.segments ?? []).map(({ blob }) => blob));
  });

const remove = (disk: Disk, bucket: Bucket, key: string, judge: Judge): Promise<void> =>
  disk.turns(`${bucket.name}/${key}`, async () => {
    const before = bucket.objects.get(key);
    judge(before);
    if (before === undefined) return;
    await rm(objectPath(disk, bucket, key), { force: true });
    bucket.objects.delete(key);
    removeKey(bucket.keys, key);
    await disk.blobs.drop(before.segments.map(({ blob }) => blob));
  });

const savePart = (disk: Disk, bucket: Bucket, upload: Upload, part: Part): Promise<void> =>
  disk.turns(upload.id, async () => {
    if (bucket.uploads.get(upload.id) !== upload) throw noSuchUpload();
    await disk.blobs.writeDocument(join(uploadDir(disk, bucket, upload), `${part.number}.json`), part);
    const before = upload.parts.get(part.number);
    upload.parts.set(part.number, part);
    await disk.blobs.drop(before === undefined ? [] : [before.blob]);
  });

/** Its parts' bytes go too, except those `kept` by an object. Only in the upload's own turn. */
async function endUpload(
  disk: Disk,
  bucket: Bucket,
  upload: Upload,
  kept: ReadonlySet<string>,
): Promise<void> {
  bucket.uploads.delete(upload.id);
  await rm(uploadDir(disk, bucket, upload), { recursive: true, force: true });
  await disk.blobs.drop([...upload.parts.values()].map(({ blob }) => blob).filter((blob) => !kept.has(blob)));
}

async function load(root: string): Promise<Map<string, Bucket>> {
  const buckets = new Map<string, Bucket>();
  for (const name of await readdir(root)) {
    const [document] = await documents(join(root, name), bucketShape, (file) => file === 'bucket.json');
    if (document === undefined) continue;
    const stored = await documents(join(root, name, 'objects'), objectShape);
    const completed = new Set(stored.map(({ uploadId }) => uploadId));
    buckets.set(name, {
      ...document,
      objects: new Map(stored.map((object) => [object.key, object])),
      keys: stored.map(({ key }) => key).sort(compareKeys),
      uploads: await loadUploads(join(root, name, 'uploads'), completed),
    });
  }
  return buckets;
}

async function loadUploads(
  root: string,
  completed: ReadonlySet<string | null>,
): Promise<Map<string, Upload>> {
  const uploads = new Map<string, Upload>();
  for (const id of await readdir(root)) {
    const dir = join(root, id);
    const [document] = await documents(dir, uploadShape, (file) => file === 'upload.json');
    if (document === undefined || completed.has(id)) {
      await rm(dir, { recursive: true });
      continue;
    }
    const parts = await documents(dir, partShape, (file) => file !== 'upload.json');
    uploads.set(id, { ...document, parts: new Map(parts.map((part) => [part.number, part])) });
  }
  return uploads;
}

async function documents<T>(
  dir: string,
  shape: z.ZodType<T>,
  wanted = (_file: string): boolean => true,
): Promise<T[]> {
  const found: T[] = [];
  for (const file of await readdir(dir)) {
    if (!file.endsWith('.json') || !wanted(file)) continue;
    found.push(shape.parse(JSON.parse(await readFile(join(dir, file), 'utf8'))));
  }
  return found;
}

function blobsNamed(buckets: ReadonlyMap<string, Bucket>): Set<string> {
  const named = new Set<string>();
  for (const { objects, uploads } of buckets.values()) {
    for (const { segments } of objects.values()) for (const { blob } of segments) named.add(blob);
    for (const { parts } of uploads.values()) for (const { blob } of parts.values()) named.add(blob);
  }
  return named;
}

const uploadDir = (disk: Disk, bucket: Bucket, upload: Upload): string =>
  join(disk.dir, 'buckets', bucket.name, 'uploads', upload.id);

/** A key may be 1,024 bytes of anything, which no file name may. */
const objectPath = (disk: Disk, bucket: Bucket, key: string): string =>
  join(disk.dir, 'buckets', bucket.name, 'objects', `${createHash('sha256').update(key).digest('hex')}.json`);

export const noSuchBucket = (name: string): AwsError =>
  new AwsError(404, 'NoSuchBucket', 'The specified bucket does not exist', { details: { BucketName: name } });

export const noSuchUpload = (): AwsError =>
  new AwsError(
    404,
    'NoSuchUpload',
    'The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.',
  );
