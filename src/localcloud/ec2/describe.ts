/** DescribeInstances and DescribeInstanceStatus. */
import type { Instance } from '../instances/instance.ts';
import type { QueryOperation } from '../wire/query-api.ts';
import type { XmlNode } from '../wire/xml.ts';
import { flag, instanceIds, page, refuseIdsWithPages } from './arguments.ts';
import { filters, passes } from './filters.ts';
import { instanceAttributes, reservationSet, stateNode, subjects } from './instance-set.ts';
import type { Ec2World } from './world.ts';

/** Terminated instances are still shown for a while; the order is by id, which tells nothing about age. */
export const describeInstances =
  (world: Ec2World): QueryOperation =>
  (fields) => {
    const ids = instanceIds(fields, 'InstanceId');
    refuseIdsWithPages(fields, ids);
    const wanted = filters(fields);
    const found = subjects(world, ids).filter((instance) =>
      passes(wanted, instanceAttributes(instance, world.now())),
    );
    const { items, nextToken } = page(found, ({ id }) => id, fields);
    return {
      reservationSet: reservationSet(world, items),
      ...(nextToken === undefined ? {} : { nextToken }),
    };
  };

/** Running instances only, unless all are asked for: whether they answer, and what is scheduled for them. */
export const describeInstanceStatus =
  (world: Ec2World): QueryOperation =>
  (fields) => {
    const ids = instanceIds(fields, 'InstanceId');
    refuseIdsWithPages(fields, ids);
    const wanted = filters(fields);
    const all = flag(fields, 'IncludeAllInstances');
    const found = subjects(world, ids)
      .filter(({ phase }) => all || phase === 'running')
      .filter((instance) => passes(wanted, instanceAttributes(instance, world.now())));
    const { items, nextToken } = page(found, ({ id }) => id, fields);
    return {
      instanceStatusSet: { item: items.map((instance) => statusItem(world, instance)) },
      ...(nextToken === undefined ? {} : { nextToken }),
    };
  };

function statusItem(world: Ec2World, instance: Instance): XmlNode {
  const frozen = instance.frozen.includes('instance');
  const reachable = (ok: boolean): XmlNode => ({
    status: instance.phase !== 'running' ? 'not-applicable' : ok ? 'ok' : 'impaired',
    details: { item: [{ name: 'reachability', status: ok ? 'passed' : 'failed' }] },
  });
  return {
    instanceId: instance.id,
    availabilityZone: instance.zone,
    instanceState: stateNode(instance.phase),
    systemStatus: reachable(true),
    instanceStatus: reachable(!frozen && !instance.isolated),
    eventsSet: {
      item: world.maintenance(instance.id).map((event) => ({
        instanceEventId: event.id,
        code: event.code,
        description: event.description,
        notBefore: new Date(event.notBefore).toISOString(),
        notAfter: new Date(event.notAfter).toISOString(),
      })),
    },
  };
}
