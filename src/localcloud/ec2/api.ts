/**
 * The EC2 query API: which operations there are, who may call them, and in which order a call is judged: the token
 * bucket first, then the caller's right to it, then `DryRun`, and only then what the call says.
 */
import type { Api, Call, Caller } from '../wire/call.ts';
import { queryApi, type Fields, type QueryOperation } from '../wire/query-api.ts';
import { flag } from './arguments.ts';
import { describeInstances, describeInstanceStatus } from './describe.ts';
import { dryRun, throttled, unauthorized } from './refusals.ts';
import { runInstances, terminateInstances } from './run.ts';
import { describeSpotPriceHistory } from './spot-prices.ts';
import { createTags, deleteTags, describeTags, mayTag, mayUntag } from './tagging.ts';
import { openThrottle } from './throttle.ts';
import type { Ec2World } from './world.ts';

/** Whether a node's credentials suffice; the operator's always do. */
type Permission = (world: Ec2World, fields: Fields, caller: Caller) => boolean;

const anyNode: Permission = () => true;
const operatorOnly: Permission = () => false;

export function openEc2(world: Ec2World): Api {
  const throttle = openThrottle();
  const guarded =
    (action: string, permission: Permission, operation: QueryOperation): QueryOperation =>
    (fields, call: Call) => {
      if (!throttle.admit(action, fields, world.now())) throw throttled();
      const isOperator = call.caller.instanceId === null;
      if (!isOperator && !permission(world, fields, call.caller)) throw unauthorized();
      if (flag(fields, 'DryRun')) throw dryRun();
      return operation(fields, call);
    };
  const table: Readonly<Record<string, readonly [Permission, QueryOperation]>> = {
    RunInstances: [operatorOnly, runInstances(world, throttle)],
    TerminateInstances: [operatorOnly, terminateInstances(world, throttle)],
    DescribeInstances: [anyNode, describeInstances(world)],
    DescribeInstanceStatus: [anyNode, describeInstanceStatus(world)],
    DescribeTags: [anyNode, describeTags(world)],
    CreateTags: [mayTag, createTags(world)],
    DeleteTags: [mayUntag, deleteTags(world)],
    DescribeSpotPriceHistory: [anyNode, describeSpotPriceHistory(world)],
  };
  return queryApi({
    name: 'ec2',
    dialect: 'ec2',
    namespace: 'http://ec2.amazonaws.com/doc/2016-11-15/',
    operations: Object.fromEntries(
      Object.entries(table).map(([action, [permission, operation]]) => [
        action,
        guarded(action, permission, operation),
      ]),
    ),
  });
}
