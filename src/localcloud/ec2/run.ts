/** RunInstances and TerminateInstances. */
import { putNewest } from '../../std/bounded.ts';
import { isHeld, type Instance } from '../instances/instance.ts';
import { AwsError } from '../wire/aws-error.ts';
import { records, type Fields, type QueryOperation } from '../wire/query-api.ts';
import type { XmlNode } from '../wire/xml.ts';
import { instanceIds, wholeNumber } from './arguments.ts';
import { named, reservation, stateNode } from './instance-set.ts';
import { invalidValue, missingParameter, noCapacity, throttled } from './refusals.ts';
import { writtenTags } from './tagging.ts';
import type { Throttle } from './throttle.ts';
import type { Ec2World } from './world.ts';

/** Client tokens remembered; AWS keeps them as long as the instances. The oldest is forgotten. */
const clientTokensMax = 1_000;
const clientTokenLengthMax = 64;

/**
 * With a client token the same call twice launches once; another call with the same token is refused. The order of
 * checks is AWS's: what the request says first, then what there is room for.
 */
export function runInstances(world: Ec2World, throttle: Throttle): QueryOperation {
  const done = new Map<string, { readonly request: string; readonly ids: readonly string[] }>();
  return (fields) => {
    const request = launchRequest(world, fields);
    const { clientToken } = request;
    const before = clientToken === null ? undefined : done.get(clientToken);
    if (before !== undefined && before.request !== fingerprint(fields))
      throw new AwsError(
        400,
        'IdempotentParameterMismatch',
        'Arguments on this idempotent request are inconsistent with arguments used in previous request(s).',
      );
    if (before !== undefined) return launched(world, before.ids);
    const count = Math.min(request.max, room(world));
    if (count < request.min)
      throw new AwsError(
        400,
        'InstanceLimitExceeded',
        `You have requested more instances (${request.min}) than your quota of ${world.instancesMax} allows.`,
      );
    if (!throttle.admitInstances('RunInstances', count, world.now())) throw throttled();
    const ids = world.launch({ ...request, count });
    if (ids === null) throw noCapacity(request.zone);
    if (clientToken !== null) {
      const launch = { request: fingerprint(fields), ids };
      putNewest(done, { key: clientToken, value: launch, max: clientTokensMax });
    }
    return launched(world, ids);
  };
}

/** What already shuts down stays as it is; asking again is no error. */
export const terminateInstances =
  (world: Ec2World, throttle: Throttle): QueryOperation =>
  (fields) => {
    const ids = instanceIds(fields, 'InstanceId');
    if (ids.length === 0) throw missingParameter('InstanceId');
    const before = named(world, ids);
    if (!throttle.admitInstances('TerminateInstances', ids.length, world.now())) throw throttled();
    for (const id of ids) world.deliver({ type: 'terminate', id, cause: 'user' });
    const item = before.map(({ id, phase }): XmlNode => {
      const now = world.fleet().instances.get(id);
      return {
        instanceId: id,
        currentState: stateNode(now?.phase ?? 'terminated'),
        previousState: stateNode(phase),
      };
    });
    return { instancesSet: { item } };
  };

function launchRequest(world: Ec2World, fields: Fields) {
  const imageId = fields.get('ImageId');
  if (imageId === undefined) throw missingParameter('ImageId');
  if (!/^(ami-[0-9a-f]{8,17}|resolve:ssm:.+)$/.test(imageId))
    throw new AwsError(400, 'InvalidAMIID.Malformed', `Invalid id: "${imageId}" (expecting "ami-...")`);
  const min = wholeNumber(fields, 'MinCount', { min: 1, max: 1_000 });
  const max = wholeNumber(fields, 'MaxCount', { min: 1, max: 1_000 });
  if (min === null) throw missingParameter('MinCount');
  if (max === null) throw missingParameter('MaxCount');
  if (min > max) throw invalidValue('MinCount must not be greater than MaxCount');
  const zone = fields.get('Placement.AvailabilityZone') ?? null;
  if (zone !== null && !world.site.zones.includes(zone))
    throw invalidValue(`Invalid availability zone: [${zone}]`);
  const clientToken = fields.get('ClientToken') ?? null;
  if ((clientToken?.length ?? 0) > clientTokenLengthMax)
    throw invalidValue(`ClientToken is longer than ${clientTokenLengthMax} characters`);
  const specifications = records(fields, 'TagSpecification').filter(
    (specification) => specification.get('ResourceType') === 'instance',
  );
  return {
    imageId,
    min,
    max,
    zone,
    clientToken,
    type: fields.get('InstanceType') ?? 'm1.small',
    lifecycle:
      fields.get('InstanceMarketOptions.MarketType') === 'spot' ? ('spot' as const) : ('on-demand' as const),
    group: null,
    tags: writtenTags(specifications.flatMap((specification) => records(specification, 'Tag'))),
  };
}

const room = (world: Ec2World): number =>
  world.instancesMax - [...world.fleet().instances.values()].filter(isHeld).length;

function launched(world: Ec2World, ids: readonly string[]): ReturnType<typeof reservation> {
  const instances = ids
    .map((id) => world.fleet().instances.get(id))
    .filter((instance): instance is Instance => instance !== undefined);
  return reservation(world, instances[0]?.reservationId ?? 'r-00000000000000000', instances);
}

/** Two requests are the same when all their fields are. */
const fingerprint = (fields: Fields): string => JSON.stringify([...fields].sort());
