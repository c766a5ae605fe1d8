import { DescribeAutoScalingGroupsCommand, SetDesiredCapacityCommand } from '@aws-sdk/client-auto-scaling';
import { outcome, type Exchange } from './exchange.ts';

/** How a group comes to be differs (the local cloud has one from the start), so only what needs none is compared. */
export const ec2AutoScaling: readonly Exchange[] = [
  {
    title: 'a group that there is not is not listed',
    act: ({ autoscaling }, name) =>
      outcome(
        autoscaling.send(new DescribeAutoScalingGroupsCommand({ AutoScalingGroupNames: [name] })),
        ({ AutoScalingGroups }) => AutoScalingGroups,
      ),
    expected: [],
  },
  {
    title: 'a group that there is not cannot be resized',
    act: ({ autoscaling }, name) =>
      outcome(
        autoscaling.send(new SetDesiredCapacityCommand({ AutoScalingGroupName: name, DesiredCapacity: 1 })),
        () => 'resized',
      ),
    expected: { refused: 'ValidationError', status: 400 },
  },
];
