import {
  DescribeInstancesCommand,
  DescribeInstanceStatusCommand,
  DescribeSpotPriceHistoryCommand,
  RunInstancesCommand,
  TerminateInstancesCommand,
  type DescribeInstancesCommandOutput,
  type RunInstancesCommandInput,
} from '@aws-sdk/client-ec2';
import { idsWhere, image, launch, patiently, settled, tags } from './ec2-talk.ts';
import { outcome, type Clients, type Exchange } from './exchange.ts';

const run = ({ ec2 }: Clients, more: Partial<RunInstancesCommandInput>): Promise<unknown> =>
  outcome(
    patiently(() => ec2.send(new RunInstancesCommand({ ...image, MinCount: 1, MaxCount: 1, ...more }))),
    ({ Instances }) => Instances?.length,
  );

export const ec2Instances: readonly Exchange[] = [
  {
    title: 'what is run is pending, then running, as it was asked for',
    act: async (of, name) => {
      const [launched] = await launch(of, name, 1, {
        Placement: { AvailabilityZone: 'us-east-1b' },
        InstanceMarketOptions: { MarketType: 'spot' },
      });
      const [seen] = await settled(of, name, 1);
      return [
        launched?.State,
        seen?.State,
        seen?.InstanceType,
        seen?.ImageId === image.ImageId,
        seen?.Placement?.AvailabilityZone,
        seen?.InstanceLifecycle,
        /^10\.|^172\./.test(seen?.PrivateIpAddress ?? ''),
        seen?.LaunchTime instanceof Date,
        tags(seen),
      ];
    },
    expected: [
      { Code: 0, Name: 'pending' },
      { Code: 16, Name: 'running' },
      'g4dn.xlarge',
      true,
      'us-east-1b',
      'spot',
      true,
      true,
      { Group: 'own' },
    ],
  },
  {
    title: 'instances of one launch share a reservation, those of two do not',
    act: async (of, name) => {
      await launch(of, name, 2);
      await launch(of, name, 1);
      await settled(of, name, 3);
      const Filters = [{ Name: 'tag:Name', Values: [name] }];
      const { Reservations = [] } = await of.ec2.send(new DescribeInstancesCommand({ Filters }));
      return Reservations.map(({ Instances }) => Instances?.length).sort();
    },
    expected: [1, 2],
  },
  {
    title: 'terminating shuts down, and the instance is still shown as terminated',
    act: async (of, name) => {
      const [launched] = await launch(of, name, 1);
      await settled(of, name, 1);
      const InstanceIds = [launched!.InstanceId!];
      const answer = await of.ec2.send(new TerminateInstancesCommand({ InstanceIds }));
      const [change] = answer.TerminatingInstances ?? [];
      const again = await outcome(
        of.ec2.send(new TerminateInstancesCommand({ InstanceIds })),
        () => 'accepted',
      );
      return [change?.InstanceId === InstanceIds[0], change?.PreviousState, change?.CurrentState, again];
    },
    expected: [true, { Code: 16, Name: 'running' }, { Code: 32, Name: 'shutting-down' }, 'accepted'],
  },
  {
    title: 'the same client token launches once',
    act: async (of, name) => {
      const [first] = await launch(of, name, 1, { ClientToken: name });
      const [second] = await launch(of, name, 1, { ClientToken: name });
      const seen = await settled(of, name, 1);
      return [first?.InstanceId === second?.InstanceId, seen.length];
    },
    expected: [true, 1],
  },
  {
    title: 'a client token is for one request only',
    act: async (of, name) => {
      await launch(of, name, 1, { ClientToken: name });
      return run(of, { ClientToken: name, InstanceType: 'g5.xlarge' });
    },
    expected: { refused: 'IdempotentParameterMismatch', status: 400 },
  },
  {
    title: 'a dry run says that it would have been done',
    act: (of) => run(of, { DryRun: true }),
    expected: { refused: 'DryRunOperation', status: 412 },
  },
  {
    title: 'a zone of another region is refused',
    act: (of) => run(of, { Placement: { AvailabilityZone: 'eu-west-1a' } }),
    expected: { refused: 'InvalidParameterValue', status: 400 },
  },
  {
    title: 'an image id that is none is refused',
    act: (of) => run(of, { ImageId: 'linux' }),
    expected: { refused: 'InvalidAMIID.Malformed', status: 400 },
  },
  {
    title: 'filters narrow each other, and their values are alternatives',
    act: async (of, name) => {
      await launch(of, name, 2);
      await settled(of, name, 2);
      const count = async (...filters: readonly [string, ...string[]][]): Promise<number> =>
        (await idsWhere(of, ['tag:Name', name], ...filters)).length;
      return {
        up: await count(['instance-state-name', 'pending', 'running']),
        stopped: await count(['instance-state-name', 'stopped']),
        type: await count(['instance-type', 'g4dn.xlarge'], ['tag-key', 'Group']),
        otherType: await count(['instance-type', 'g5.xlarge'], ['tag-key', 'Group']),
        group: await count(['tag:Group', 'own', 'other']),
        anyGroup: await count(['tag:Group', 'o*']),
        nobody: await count(['tag:Group', 'OWN']),
      };
    },
    expected: { up: 2, stopped: 0, type: 2, otherType: 0, group: 2, anyGroup: 2, nobody: 0 },
  },
  {
    title: 'wildcards and zones filter too',
    act: async (of, name) => {
      await launch(of, name, 1, { Placement: { AvailabilityZone: 'us-east-1a' } });
      await launch(of, name, 1, { Placement: { AvailabilityZone: 'us-east-1c' } });
      await settled(of, name, 2);
      const count = async (filter: readonly [string, string]): Promise<number> =>
        (await idsWhere(of, ['tag:Name', name], [...filter])).length;
      return {
        one: await count(['availability-zone', 'us-east-1c']),
        all: await count(['availability-zone', 'us-east-1?']),
        type: await count(['instance-type', 'g4dn.*']),
      };
    },
    expected: { one: 1, all: 2, type: 2 },
  },
  {
    title: 'pages show every instance once',
    act: async (of, name) => {
      const launched = await launch(of, name, 7);
      await settled(of, name, 7);
      const seen: string[] = [];
      const Filters = [{ Name: 'tag:Name', Values: [name] }];
      const sizes: number[] = [];
      for (let NextToken: string | undefined = ''; NextToken !== undefined;) {
        const token: { readonly NextToken?: string } = NextToken === '' ? {} : { NextToken };
        const page: DescribeInstancesCommandOutput = await of.ec2.send(
          new DescribeInstancesCommand({ Filters, MaxResults: 5, ...token }),
        );
        const found = (page.Reservations ?? []).flatMap(({ Instances = [] }) => Instances);
        seen.push(...found.map(({ InstanceId }) => InstanceId!));
        sizes.push(found.length);
        NextToken = page.NextToken;
      }
      return [new Set(seen).size, launched.every(({ InstanceId }) => seen.includes(InstanceId!)), sizes];
    },
    expected: [7, true, [5, 2]],
  },
  {
    title: 'ids and pages exclude one another',
    act: async (of, name) => {
      const [launched] = await launch(of, name, 1);
      await settled(of, name, 1);
      const input = { InstanceIds: [launched!.InstanceId!], MaxResults: 5 };
      return outcome(of.ec2.send(new DescribeInstancesCommand(input)), () => 'accepted');
    },
    expected: { refused: 'InvalidParameterCombination', status: 400 },
  },
  {
    title: 'an instance that there is not is not found, in describing as in terminating',
    act: async ({ ec2 }) => {
      const InstanceIds = ['i-0123456789abcdef0'];
      return [
        await outcome(ec2.send(new DescribeInstancesCommand({ InstanceIds })), () => 'found'),
        await outcome(ec2.send(new TerminateInstancesCommand({ InstanceIds })), () => 'found'),
      ];
    },
    expected: [
      { refused: 'InvalidInstanceID.NotFound', status: 400 },
      { refused: 'InvalidInstanceID.NotFound', status: 400 },
    ],
  },
  {
    title: 'an instance id that is none is malformed',
    act: ({ ec2 }) =>
      outcome(ec2.send(new DescribeInstancesCommand({ InstanceIds: ['i-xyz'] })), () => 'found'),
    expected: { refused: 'InvalidInstanceID.Malformed', status: 400 },
  },
  {
    title: 'a filter that there is not is refused',
    act: ({ ec2 }) =>
      outcome(
        ec2.send(new DescribeInstancesCommand({ Filters: [{ Name: 'colour', Values: ['red'] }] })),
        () => 'accepted',
      ),
    expected: { refused: 'InvalidParameterValue', status: 400 },
  },
  {
    title: 'a running instance that answers is ok',
    act: async (of, name) => {
      const [launched] = await launch(of, name, 1);
      await settled(of, name, 1);
      const InstanceIds = [launched!.InstanceId!];
      const { InstanceStatuses } = await of.ec2.send(new DescribeInstanceStatusCommand({ InstanceIds }));
      const [one] = InstanceStatuses ?? [];
      return [one?.InstanceState?.Name, one?.InstanceStatus?.Status, one?.SystemStatus?.Status];
    },
    expected: ['running', 'ok', 'ok'],
  },
  {
    title: 'spot prices are of the product, the type and the zone that were asked for',
    act: async ({ ec2 }) => {
      const answer = await ec2.send(
        new DescribeSpotPriceHistoryCommand({
          InstanceTypes: ['g5.xlarge'],
          ProductDescriptions: ['Linux/UNIX'],
          AvailabilityZone: 'us-east-1a',
          StartTime: new Date(),
        }),
      );
      return (answer.SpotPriceHistory ?? []).map((row) => [
        row.InstanceType,
        row.ProductDescription,
        row.AvailabilityZone,
        Number(row.SpotPrice) > 0,
        row.Timestamp instanceof Date,
      ]);
    },
    expected: [['g5.xlarge', 'Linux/UNIX', 'us-east-1a', true, true]],
  },
];
