import {
  DescribeInstancesCommand,
  RunInstancesCommand,
  type Instance,
  type RunInstancesCommandInput,
} from '@aws-sdk/client-ec2';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clients } from './exchange.ts';

/** An image that moto knows. */
export const image = { ImageId: 'ami-12c6146b', InstanceType: 'g4dn.xlarge' } as const;

/** How long EC2 may take to show what it has accepted: a documented few seconds, ms. */
const consistencyMs = 5_000;
const betweenAsksMs = 50;

/** Launches instances that carry the exchange's name, waiting its turn where launches are throttled. */
export async function launch(
  { ec2 }: Clients,
  name: string,
  count: number,
  more: Partial<RunInstancesCommandInput> = {},
): Promise<readonly Instance[]> {
  const Tags = [
    { Key: 'Name', Value: name },
    { Key: 'Group', Value: 'own' },
  ];
  const input = {
    ...image,
    MinCount: count,
    MaxCount: count,
    TagSpecifications: [{ ResourceType: 'instance' as const, Tags }],
    ...more,
  };
  return patiently(async () => (await ec2.send(new RunInstancesCommand(input))).Instances ?? []);
}

/** The instances of the exchange as soon as EC2 shows that many of them running. */
export async function settled(of: Clients, name: string, count: number): Promise<readonly Instance[]> {
  return eventually(
    () => instancesWhere(of, ['tag:Name', name], ['instance-state-name', 'running']),
    (found) => found.length >= count,
  );
}

export const idsWhere = async (
  of: Clients,
  ...filters: readonly [string, ...string[]][]
): Promise<readonly string[]> =>
  (await instancesWhere(of, ...filters)).map(({ InstanceId }) => InstanceId!).sort();

/** Without the name that the exchange gave. */
export const tags = (instance: Instance | undefined): Readonly<Record<string, string>> =>
  Object.fromEntries(
    (instance?.Tags ?? []).filter(({ Key }) => Key !== 'Name').map(({ Key, Value }) => [Key!, Value!]),
  );

/** Asks until the answer is as it must become; the last answer when it never does. */
export async function eventually<T>(ask: () => Promise<T>, done: (answer: T) => boolean): Promise<T> {
  const end = performance.now() + consistencyMs;
  for (;;) {
    const answer = await ask();
    if (done(answer) || performance.now() > end) return answer;
    await sleep(betweenAsksMs);
  }
}

async function instancesWhere(
  { ec2 }: Clients,
  ...filters: readonly [string, ...string[]][]
): Promise<readonly Instance[]> {
  const Filters = filters.map(([Name, ...Values]) => ({ Name, Values }));
  return patiently(async () => {
    const { Reservations = [] } = await ec2.send(new DescribeInstancesCommand({ Filters }));
    return Reservations.flatMap(({ Instances = [] }) => Instances);
  });
}

/** Waits where EC2 says that there were too many calls: what its clients do by themselves, told to try once. */
export async function patiently<T>(call: () => Promise<T>): Promise<T> {
  const end = performance.now() + consistencyMs;
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if ((error as Error).name !== 'RequestLimitExceeded' || performance.now() > end) throw error;
      await sleep(betweenAsksMs * 4);
    }
  }
}
