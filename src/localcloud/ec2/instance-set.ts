/** Instances in the words of EC2's XML, and as its filters see them. */
import type { Instant } from '../../std/time.ts';
import type { Fleet } from '../instances/fleet.ts';
import { isUp, reasons, stateCodes, type Instance, type Phase } from '../instances/instance.ts';
import { hostname, subnetId, vpcId } from '../imds/metadata.ts';
import { visible, type TagSet } from '../instances/tags.ts';
import type { XmlNode } from '../wire/xml.ts';
import { tagAttribute, type Attributes } from './filters.ts';
import { unknownInstances, zoneDown } from './refusals.ts';
import type { Ec2World } from './world.ts';

/** What the API already knows of: an instance appears a moment after its launch was answered. */
export const known = (fleet: Fleet, now: Instant): readonly Instance[] =>
  [...fleet.instances.values()].filter(({ visibleAt }) => visibleAt <= now);

/** Throws InvalidInstanceID.NotFound when one of them is not known (yet). */
export function named(world: Ec2World, ids: readonly string[]): readonly Instance[] {
  const byId = new Map(known(world.fleet(), world.now()).map((instance) => [instance.id, instance]));
  const unknown = ids.filter((id) => !byId.has(id));
  if (unknown.length > 0) throw unknownInstances(unknown);
  return ids.map((id) => byId.get(id)!);
}

/**
 * The instances that a Describe call is about. While a zone is down the whole call fails, unless it names instances
 * of other zones only: so EC2 documents it, and so a discovery that forgets whom it did not see empties a cluster.
 */
export function subjects(world: Ec2World, ids: readonly string[]): readonly Instance[] {
  const outages = world.outages();
  if (ids.length === 0 && outages.size > 0) throw zoneDown();
  const found = ids.length === 0 ? known(world.fleet(), world.now()) : named(world, ids);
  if (found.some(({ zone }) => outages.has(zone))) throw zoneDown();
  return found;
}

export function instanceAttributes(instance: Instance, now: Instant): Attributes {
  const tags = visible(instance.tags, now);
  const fixed: Readonly<Record<string, readonly string[]>> = {
    'availability-zone': [instance.zone],
    'client-token': instance.clientToken === null ? [] : [instance.clientToken],
    'image-id': [instance.imageId],
    'instance-id': [instance.id],
    'instance-lifecycle': instance.lifecycle === 'spot' ? ['spot'] : [],
    'instance-state-code': [String(stateCodes[instance.phase])],
    'instance-state-name': [instance.phase],
    'instance-type': [instance.type],
    'placement.availability-zone': [instance.zone],
    'private-ip-address': isUp(instance) ? [instance.privateIp] : [],
    'reservation-id': [instance.reservationId],
    'vpc-id': [vpcId],
  };
  return (name) => (Object.hasOwn(fixed, name) ? fixed[name]! : tagAttribute(tags, name));
}

/** Instances that were launched together stand in one reservation. */
export function reservationSet(world: Ec2World, instances: readonly Instance[]): XmlNode {
  const groups = Map.groupBy(instances, ({ reservationId }) => reservationId);
  return { item: [...groups].map(([id, members]) => reservation(world, id, members)) };
}

export const reservation = (
  world: Ec2World,
  id: string,
  members: readonly Instance[],
): Readonly<Record<string, XmlNode>> => ({
  reservationId: id,
  ownerId: world.account,
  groupSet: {},
  instancesSet: { item: members.map((instance) => instanceItem(world, instance)) },
});

export const stateNode = (phase: Phase): XmlNode => ({ code: stateCodes[phase], name: phase });

const tagSet = (tags: TagSet): XmlNode => ({
  item: Object.entries(tags).map(([key, value]) => ({ key, value })),
});

function instanceItem(world: Ec2World, instance: Instance): XmlNode {
  const reason = instance.cause === null ? null : reasons[instance.cause];
  const changed = new Date(instance.changedAt).toISOString();
  return {
    instanceId: instance.id,
    imageId: instance.imageId,
    instanceState: stateNode(instance.phase),
    ...(isUp(instance) ? network(world, instance) : {}),
    reason: reason === null ? '' : `${reason.message} (${changed.slice(0, 19).replace('T', ' ')} GMT)`,
    ...(reason === null
      ? {}
      : { stateReason: { code: reason.code, message: `${reason.code}: ${reason.message}` } }),
    amiLaunchIndex: 0,
    instanceType: instance.type,
    launchTime: new Date(instance.launchedAt).toISOString(),
    placement: { availabilityZone: instance.zone, groupName: '', tenancy: 'default' },
    monitoring: { state: 'disabled' },
    architecture: 'x86_64',
    ...(instance.lifecycle === 'spot'
      ? { instanceLifecycle: 'spot', spotInstanceRequestId: `sir-${instance.id.slice(2, 10)}` }
      : {}),
    ...(instance.clientToken === null ? {} : { clientToken: instance.clientToken }),
    metadataOptions: { state: 'applied', httpTokens: 'required', instanceMetadataTags: 'enabled' },
    tagSet: tagSet(visible(instance.tags, world.now())),
  };
}

const network = (world: Ec2World, instance: Instance): Readonly<Record<string, XmlNode>> => ({
  privateDnsName: hostname(instance, world.site),
  privateIpAddress: instance.privateIp,
  subnetId: subnetId(world.site, instance.zone),
  vpcId,
});
