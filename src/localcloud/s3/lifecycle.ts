/**
 * Lifecycle rules: expiry of objects and abortion of forgotten uploads, by prefix and age in days.
 *
 * As in S3, something is due at the first midnight (UTC) after its days are over, so that "one day" may live two.
 * A day here is as long as the composition says, seconds in a development cluster; midnights are its multiples.
 * (S3 User Guide, "Lifecycle configuration elements".)
 */
import { AwsError } from '../wire/aws-error.ts';
import { readWhole } from '../wire/body.ts';
import type { Answer, Call } from '../wire/call.ts';
import { parseXml } from '../wire/xml.ts';
import { bucketNamed, document, empty, type Address, type Backing } from './backing.ts';
import { malformedXml } from './objects.ts';
import type { Bucket, LifecycleRule, StoredObject } from './stored.ts';

const rulesMax = 1000;
const configurationBytesMax = 1024 * 1024;

export async function putLifecycle(backing: Backing, call: Call, at: Address): Promise<Answer> {
  const { name, createdAt } = bucketNamed(backing, at.bucket);
  const text = (await readWhole(call.body, configurationBytesMax)).toString('utf8');
  const parsed = parseXml(text, { root: 'LifecycleConfiguration', lists: ['Rule', 'Transition', 'Tag'] });
  const rules = (parsed?.['Rule'] ?? []) as readonly Element[];
  if (rules.length === 0 || rules.length > rulesMax) throw malformedXml();
  await backing.store.saveBucket({ name, createdAt, rules: rules.map(ruleFrom) });
  return empty(200);
}

export async function getLifecycle(backing: Backing, _call: Call, at: Address): Promise<Answer> {
  const { rules } = bucketNamed(backing, at.bucket);
  if (rules.length === 0)
    throw new AwsError(404, 'NoSuchLifecycleConfiguration', 'The lifecycle configuration does not exist');
  return document('LifecycleConfiguration', {
    Rule: rules.map(({ id, prefix, enabled, expireDays, abortUploadsDays }) => ({
      ID: id,
      Filter: { Prefix: prefix },
      Status: enabled ? 'Enabled' : 'Disabled',
      ...(expireDays === null ? {} : { Expiration: { Days: expireDays } }),
      ...(abortUploadsDays === null
        ? {}
        : { AbortIncompleteMultipartUpload: { DaysAfterInitiation: abortUploadsDays } }),
    })),
  });
}

export async function deleteLifecycle(backing: Backing, _call: Call, at: Address): Promise<Answer> {
  const { name, createdAt } = bucketNamed(backing, at.bucket);
  await backing.store.saveBucket({ name, createdAt, rules: [] });
  return empty(204);
}

/** Removes what is due. What is replaced while this runs stays: it is younger. */
export async function sweep({ store, clock }: Backing, dayMs: number): Promise<void> {
  const now = clock.wallNow();
  const isDue = (since: number, days: number): boolean => now >= dueAt(since, days, dayMs);
  for (const bucket of store.buckets.values()) {
    for (const object of [...bucket.objects.values()]) {
      const days = shortest(bucket, object.key, 'expireDays');
      if (isDue(object.modifiedAt, days)) await expire(store, bucket, object);
    }
    for (const upload of [...bucket.uploads.values()]) {
      const days = shortest(bucket, upload.key, 'abortUploadsDays');
      if (isDue(upload.startedAt, days)) await store.abortUpload(bucket, upload);
    }
  }
}

async function expire(store: Backing['store'], bucket: Bucket, object: StoredObject): Promise<void> {
  const spared = new Error('replaced meanwhile');
  try {
    await store.remove(bucket, object.key, (current) => {
      if (current !== object) throw spared;
    });
  } catch (error) {
    if (error !== spared) throw error;
  }
}

const dueAt = (since: number, days: number, dayMs: number): number =>
  Math.ceil((since + days * dayMs) / dayMs) * dayMs;

/** Where rules overlap, the shortest wins; infinite when none applies. */
const shortest = (bucket: Bucket, key: string, what: 'expireDays' | 'abortUploadsDays'): number =>
  Math.min(
    Infinity,
    ...bucket.rules.flatMap((rule) => {
      const days = rule.enabled && key.startsWith(rule.prefix) ? rule[what] : null;
      return days === null ? [] : [days];
    }),
  );

type Element = { readonly [name: string]: string | Element | readonly Element[] | undefined };

function ruleFrom(rule: Element, at: number): LifecycleRule {
  const filter = child(rule, 'Filter');
  const both = child(filter, 'And');
  const expireDays = days(child(rule, 'Expiration'), 'Days');
  const abortUploadsDays = days(child(rule, 'AbortIncompleteMultipartUpload'), 'DaysAfterInitiation');
  const status = rule['Status'];
  if (expireDays === null && abortUploadsDays === null)
    throw notKept('actions other than Expiration by days');
  if (status !== 'Enabled' && status !== 'Disabled') throw malformedXml();
  const criteria = [...Object.keys(filter), ...Object.keys(both)];
  if (criteria.some((name) => !['Prefix', 'And', '#text'].includes(name)))
    throw notKept('filters by anything but a prefix');
  return {
    id: text(rule, 'ID') ?? `rule-${at + 1}`,
    prefix: text(filter, 'Prefix') ?? text(both, 'Prefix') ?? text(rule, 'Prefix') ?? '',
    enabled: status === 'Enabled',
    expireDays,
    abortUploadsDays,
  };
}

function days(action: Element, name: string): number | null {
  const given = text(action, name);
  if (given === undefined) return null;
  if (!/^[1-9]\d{0,5}$/.test(given))
    throw new AwsError(400, 'InvalidArgument', `'${name}' must be a positive integer`);
  return Number(given);
}

function child(element: Element, name: string): Element {
  const found = element[name];
  return typeof found === 'object' && !Array.isArray(found) ? (found as Element) : {};
}

function text(element: Element, name: string): string | undefined {
  const found = element[name];
  return typeof found === 'string' ? found : undefined;
}

const notKept = (what: string): AwsError =>
  new AwsError(501, 'NotImplemented', `The local cloud does not know lifecycle rules with ${what}.`);
