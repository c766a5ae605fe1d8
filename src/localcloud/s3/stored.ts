/** What is kept of buckets, objects and uploads: as documents on disk (the shapes) and as read back (the types). */
import { z } from 'zod';
import type { WallTime } from '../../std/time.ts';
import type { SortedKeys } from './keys.ts';

const text = z.record(z.string(), z.string());
const wallTime = z.number().transform((ms) => ms as WallTime);
const algorithm = z.enum(['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256']);
const checksumType = z.enum(['FULL_OBJECT', 'COMPOSITE']);

const headShape = z.object({
  /** `content-type`, `cache-control` and the like, as a reader will get them. */
  headers: text,
  /** Without `x-amz-meta-`. */
  metadata: text,
});

export const objectShape = z.object({
  key: z.string(),
  /** Without its quotes. */
  etag: z.string(),
  bytes: z.int(),
  modifiedAt: wallTime,
  head: headShape,
  checksum: z.object({ algorithm, value: z.string(), type: checksumType }),
  /** The object's bytes are those of these files, one after the other. */
  segments: z.array(z.object({ blob: z.string(), bytes: z.int() })),
  /** The upload that was completed into this object: a repeated completion is answered like the first. */
  uploadId: z.string().nullable(),
});

export const partShape = z.object({
  number: z.int(),
  etag: z.string(),
  bytes: z.int(),
  modifiedAt: wallTime,
  blob: z.string(),
  checksums: z.partialRecord(algorithm, z.string()),
});

export const uploadShape = z.object({
  id: z.string(),
  key: z.string(),
  startedAt: wallTime,
  head: headShape,
  /** Null: none was asked for, which ends in a CRC64NVME of the whole object. */
  algorithm: algorithm.nullable(),
  type: checksumType,
});

const ruleShape = z.object({
  id: z.string(),
  prefix: z.string(),
  enabled: z.boolean(),
  expireDays: z.int().nullable(),
  abortUploadsDays: z.int().nullable(),
});

export const bucketShape = z.object({
  name: z.string(),
  createdAt: wallTime,
  rules: z.array(ruleShape),
});

export type ObjectHead = z.infer<typeof headShape>;
export type StoredObject = z.infer<typeof objectShape>;
export type Part = z.infer<typeof partShape>;
export type Upload = z.infer<typeof uploadShape> & { readonly parts: Map<number, Part> };
export type LifecycleRule = z.infer<typeof ruleShape>;
export type Bucket = z.infer<typeof bucketShape> & {
  readonly objects: Map<string, StoredObject>;
  readonly keys: SortedKeys;
  readonly uploads: Map<string, Upload>;
};
