/**
 * The part of the Auto Scaling API that a node or an operator of one group needs: what is in it, how large it should
 * be, and the two answers to a termination hook.
 */
import type { Fleet } from '../instances/fleet.ts';
import type { Instance } from '../instances/instance.ts';
import type { WallTime } from '../../std/time.ts';
import { AwsError } from '../wire/aws-error.ts';
import type { Api } from '../wire/call.ts';
import { listed, queryApi, type Fields, type QueryOperation } from '../wire/query-api.ts';
import type { XmlNode } from '../wire/xml.ts';
import type { Group, GroupEvent, GroupMember } from './group.ts';

type GroupWorld = {
  readonly account: string;
  readonly region: string;
  readonly zones: readonly string[];
  readonly createdAt: WallTime;
  group(): Group;
  fleet(): Fleet;
  deliver(event: GroupEvent): void;
};

export function openAutoScaling(world: GroupWorld): Api {
  const operatorOnly =
    (operation: QueryOperation): QueryOperation =>
    (fields, call) => {
      if (call.caller.instanceId !== null)
        throw new AwsError(403, 'AccessDenied', 'User is not authorized to perform this operation');
      return operation(fields, call);
    };
  return queryApi({
    name: 'autoscaling',
    dialect: 'query',
    namespace: 'http://autoscaling.amazonaws.com/doc/2011-01-01/',
    operations: {
      DescribeAutoScalingGroups: (fields) => describeGroups(world, fields),
      SetDesiredCapacity: operatorOnly((fields) => setDesired(world, fields)),
      CompleteLifecycleAction: (fields) => answerHook(world, fields, 'hook.completed'),
      RecordLifecycleActionHeartbeat: (fields) => answerHook(world, fields, 'hook.heartbeat'),
    },
  });
}

const invalid = (message: string): AwsError => new AwsError(400, 'ValidationError', message);

function describeGroups(world: GroupWorld, fields: Fields): Readonly<Record<string, XmlNode>> {
  const wanted = listed(fields, 'AutoScalingGroupNames');
  const { name } = world.group().settings;
  const shown = wanted.length === 0 || wanted.includes(name);
  return { AutoScalingGroups: { member: shown ? [groupNode(world)] : [] } };
}

function setDesired(world: GroupWorld, fields: Fields): Readonly<Record<string, XmlNode>> {
  checkName(world, fields);
  const count = Number(fields.get('DesiredCapacity'));
  checkCapacity(world.group(), count);
  world.deliver({ type: 'desired', count });
  return {};
}

function checkCapacity({ settings }: Group, count: number): void {
  if (!Number.isInteger(count) || count < 0) throw invalid('DesiredCapacity must be a whole number');
  const what = `New SetDesiredCapacity value ${count} is`;
  if (count > settings.max)
    throw invalid(`${what} above max value ${settings.max} for the AutoScalingGroup.`);
  if (count < settings.min)
    throw invalid(`${what} below min value ${settings.min} for the AutoScalingGroup.`);
}

/** CONTINUE and ABANDON both let a termination go on: that is all a termination hook can be told. */
function answerHook(
  world: GroupWorld,
  fields: Fields,
  type: 'hook.completed' | 'hook.heartbeat',
): Readonly<Record<string, XmlNode>> {
  checkName(world, fields);
  const group = world.group();
  if (fields.get('LifecycleHookName') !== group.settings.terminationHook?.name)
    throw invalid('No lifecycle hook with that name in this group');
  const result = fields.get('LifecycleActionResult');
  if (type === 'hook.completed' && result !== 'CONTINUE' && result !== 'ABANDON')
    throw invalid('LifecycleActionResult must be CONTINUE or ABANDON');
  const id = fields.get('InstanceId') ?? '';
  if (group.members.get(id)?.state !== 'Terminating:Wait')
    throw invalid(`No active Lifecycle Action found with instance ID ${id}`);
  world.deliver({ type, id });
  return {};
}

function checkName(world: GroupWorld, fields: Fields): void {
  const name = fields.get('AutoScalingGroupName');
  if (name !== world.group().settings.name)
    throw invalid(`AutoScalingGroup name not found - no such group: ${name ?? ''}`);
}

function groupNode(world: GroupWorld): XmlNode {
  const { settings, desired, members } = world.group();
  const { account, region, zones } = world;
  return {
    AutoScalingGroupName: settings.name,
    AutoScalingGroupARN: `arn:aws:autoscaling:${region}:${account}:autoScalingGroup:local:autoScalingGroupName/${settings.name}`,
    MinSize: settings.min,
    MaxSize: settings.max,
    DesiredCapacity: desired,
    DefaultCooldown: 300,
    AvailabilityZones: { member: [...zones] },
    HealthCheckType: 'EC2',
    HealthCheckGracePeriod: 0,
    CreatedTime: new Date(world.createdAt).toISOString(),
    CapacityRebalance: settings.capacityRebalance,
    NewInstancesProtectedFromScaleIn: false,
    Instances: { member: [...members].map(([id, member]) => memberNode(world.fleet(), id, member)) },
  };
}

function memberNode(fleet: Fleet, id: string, member: GroupMember): XmlNode {
  const instance: Instance | undefined = fleet.instances.get(id);
  return {
    InstanceId: id,
    InstanceType: instance?.type ?? '',
    AvailabilityZone: member.zone,
    LifecycleState: member.state,
    HealthStatus: 'Healthy',
    ProtectedFromScaleIn: false,
  };
}
