/** What every S3 operation works on, and the few answers they share. */
import type { Clock } from '../../node/ports.ts';
import type { Answer, Call } from '../wire/call.ts';
import { xml, type XmlNode } from '../wire/xml.ts';
import type { Shaping } from './shaping.ts';
import { noSuchBucket, type Store } from './store.ts';
import type { Bucket } from './stored.ts';

export type Backing = {
  readonly store: Store;
  readonly clock: Clock;
  readonly shaping: Shaping;
  readonly region: string;
};

/** What a path names, decoded; empty where it names less. */
export type Address = { readonly bucket: string; readonly key: string };

export type S3Operation = (backing: Backing, call: Call, at: Address) => Promise<Answer>;

/** Throws AwsError 404. */
export function bucketNamed({ store }: Backing, name: string): Bucket {
  const bucket = store.buckets.get(name);
  if (bucket === undefined) throw noSuchBucket(name);
  return bucket;
}

export const empty = (status: number, headers: Readonly<Record<string, string>> = {}): Answer => ({
  status,
  headers,
  body: '',
});

export const document = (
  root: string,
  content: { readonly [name: string]: XmlNode | undefined },
  headers: Readonly<Record<string, string>> = {},
): Answer => ({
  status: 200,
  headers: { 'content-type': 'application/xml', ...headers },
  body: xml({ [root]: { '@xmlns': 'http://s3.amazonaws.com/doc/2006-03-01/', ...content } }),
});

export const iso = (ms: number): string => new Date(ms).toISOString();

/** A query parameter that must be a whole number; `fallback` when it is not given. Throws nothing: null is nonsense. */
export function wholeNumber(call: Call, name: string, fallback: number): number | null {
  const text = call.query.get(name);
  if (text === null || text === '') return fallback;
  return /^\d{1,9}$/.test(text) ? Number(text) : null;
}
