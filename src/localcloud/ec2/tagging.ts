/**
 * CreateTags, DeleteTags and DescribeTags. A node may write only the tags that its role's policy names, and only on
 * its own instance: that is what binds a peer id to an instance, so it is held here as IAM holds it.
 */
import type { Instance } from '../instances/instance.ts';
import { truth, visible, type TagSet } from '../instances/tags.ts';
import { AwsError } from '../wire/aws-error.ts';
import type { Caller } from '../wire/call.ts';
import { listed, records, type Fields, type QueryOperation } from '../wire/query-api.ts';
import { instanceIds, page } from './arguments.ts';
import { filters, passes, tagAttribute } from './filters.ts';
import { known, named } from './instance-set.ts';
import { invalidValue, missingParameter } from './refusals.ts';
import type { Ec2World } from './world.ts';

/** Quotas of EC2: tags of one resource, less those of AWS itself; resources of one call. */
const tagsMax = 50;
const resourcesMax = 1_000;
/** With tags in the instance metadata, keys must be fit for a path. */
const keyForm = /^[0-9a-zA-Z\-_+=,.@:]{1,128}$/;
const reservedKeys = ['.', '..', '_index'];
const valueLengthMax = 256;

export const createTags =
  (world: Ec2World): QueryOperation =>
  (fields) => {
    const instances = resources(world, fields);
    const tags = writtenTags(records(fields, 'Tag'));
    if (Object.keys(tags).length === 0) throw missingParameter('tag');
    for (const instance of instances) checkQuota({ ...truth(instance.tags), ...tags });
    for (const { id } of instances) world.deliver({ type: 'tag', id, change: { type: 'set', tags } });
    return { return: true };
  };

/** Without any tag in the call, every tag of the user goes: a trap of the real API, kept. */
export const deleteTags =
  (world: Ec2World): QueryOperation =>
  (fields) => {
    const instances = resources(world, fields);
    const tags = records(fields, 'Tag').map((tag) => ({
      key: tag.get('Key') ?? '',
      value: tag.get('Value') ?? null,
    }));
    for (const { key } of tags) checkKey(key);
    const change = tags.length === 0 ? ({ type: 'clear' } as const) : ({ type: 'delete', tags } as const);
    for (const { id } of instances) world.deliver({ type: 'tag', id, change });
    return { return: true };
  };

export const describeTags =
  (world: Ec2World): QueryOperation =>
  (fields) => {
    const wanted = filters(fields);
    const now = world.now();
    const rows = known(world.fleet(), now)
      .flatMap((instance) =>
        Object.entries(visible(instance.tags, now)).map(([key, value]) => ({ id: instance.id, key, value })),
      )
      .filter((row) => passes(wanted, (name) => tagRowAttribute(row, name)));
    const { items, nextToken } = page(rows, ({ id, key }) => `${id} ${key}`, fields);
    const item = items.map(({ id, key, value }) => ({
      key,
      value,
      resourceId: id,
      resourceType: 'instance',
    }));
    return { tagSet: { item }, ...(nextToken === undefined ? {} : { nextToken }) };
  };

/** Whether the role's policy lets this caller write these tags on these instances. */
export function mayTag(world: Ec2World, fields: Fields, caller: Caller): boolean {
  const { tagKeys, tagValues } = world.policy;
  const tags = records(fields, 'Tag');
  return (
    onlySelf(fields, caller) &&
    tags.length > 0 &&
    tags.every((tag) => {
      const key = tag.get('Key') ?? '';
      const pinned = Object.hasOwn(tagValues, key) ? tagValues[key] : undefined;
      return tagKeys.includes(key) && (pinned === undefined || pinned === tag.get('Value'));
    })
  );
}

/** IAM cannot see whose instance it is when tags are deleted, other than by the tag in which the node said so. */
export function mayUntag(world: Ec2World, fields: Fields, caller: Caller): boolean {
  const { tagKeys, deletesTags } = world.policy;
  const tags = records(fields, 'Tag');
  const targets = listed(fields, 'ResourceId').map((id) => world.fleet().instances.get(id));
  return (
    deletesTags &&
    tags.length > 0 &&
    tags.every((tag) => tagKeys.includes(tag.get('Key') ?? '')) &&
    targets.every(
      (target) => target !== undefined && truth(target.tags)['SynktiNodeId'] === caller.instanceId,
    )
  );
}

/** The tags that RunInstances puts on what it launches. */
export function writtenTags(given: readonly Fields[]): TagSet {
  const tags = new Map<string, string>();
  for (const tag of given) {
    const key = tag.get('Key') ?? '';
    const value = tag.get('Value') ?? '';
    checkKey(key);
    if (tags.has(key)) throw invalidValue(`Duplicate tag key '${key}' specified.`);
    if (value.length > valueLengthMax)
      throw invalidValue(`Tag value exceeds the maximum length of ${valueLengthMax} characters`);
    tags.set(key, value);
  }
  checkQuota(Object.fromEntries(tags));
  return Object.fromEntries(tags);
}

const onlySelf = (fields: Fields, caller: Caller): boolean =>
  listed(fields, 'ResourceId').every((id) => id === caller.instanceId);

function resources(world: Ec2World, fields: Fields): readonly Instance[] {
  const ids = listed(fields, 'ResourceId');
  if (ids.length === 0) throw missingParameter('resourceIdSet');
  if (ids.length > resourcesMax)
    throw invalidValue(`At most ${resourcesMax} resources can be tagged at once`);
  const foreign = ids.find((id) => !id.startsWith('i-'));
  if (foreign !== undefined) throw new AwsError(400, 'InvalidID', `The ID '${foreign}' is not valid`);
  return named(world, instanceIds(fields, 'ResourceId'));
}

function checkKey(key: string): void {
  if (key.startsWith('aws:'))
    throw invalidValue(`Tag keys starting with 'aws:' are reserved for internal use`);
  if (!keyForm.test(key) || reservedKeys.includes(key))
    throw invalidValue(
      `'${key}' is not a valid tag key. Tag keys must match pattern ([0-9a-zA-Z\\-_+=,.@:]{1,255}), ` +
        `and must not be a reserved name ('.', '..', '_index')`,
    );
}

function checkQuota(tags: TagSet): void {
  if (Object.keys(tags).filter((key) => !key.startsWith('aws:')).length > tagsMax)
    throw new AwsError(400, 'TagLimitExceeded', `The maximum number of tags per resource is ${tagsMax}`);
}

function tagRowAttribute(
  row: { readonly id: string; readonly key: string; readonly value: string },
  name: string,
): readonly string[] | null {
  const fixed: Readonly<Record<string, string>> = {
    key: row.key,
    value: row.value,
    'resource-id': row.id,
    'resource-type': 'instance',
  };
  return Object.hasOwn(fixed, name) ? [fixed[name]!] : tagAttribute({ [row.key]: row.value }, name);
}
