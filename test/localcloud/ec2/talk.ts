import {
  CreateTagsCommand,
  DescribeInstancesCommand,
  EC2Client,
  RunInstancesCommand,
  type DescribeInstancesCommandInput,
  type Instance,
  type RunInstancesCommandInput,
  type Tag,
} from '@aws-sdk/client-ec2';
import type { Rig } from '../rig.ts';

export const image = { ImageId: 'ami-0c0ffee0c0ffee001', InstanceType: 'g5.xlarge' } as const;

export function talk(rig: Rig) {
  const ec2 = new EC2Client(rig.sdk);
  const describe = async (input: DescribeInstancesCommandInput = {}): Promise<readonly Instance[]> =>
    ((await ec2.send(new DescribeInstancesCommand(input))).Reservations ?? []).flatMap(
      (r) => r.Instances ?? [],
    );
  const filtered = (Name: string, ...Values: string[]): Promise<readonly Instance[]> =>
    describe({ Filters: [{ Name, Values }] });
  const run = async (
    count: number,
    more: Partial<RunInstancesCommandInput> = {},
  ): Promise<readonly Instance[]> =>
    (await ec2.send(new RunInstancesCommand({ ...image, MinCount: count, MaxCount: count, ...more })))
      .Instances ?? [];
  const tag = (ids: readonly string[], tags: Record<string, string>): Promise<unknown> =>
    ec2.send(new CreateTagsCommand({ Resources: [...ids], Tags: tagList(tags) }));
  return { ec2, describe, filtered, run, tag };
}

export const tagList = (tags: Record<string, string>): Tag[] =>
  Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
export const tagsOf = (instance: Instance | undefined): Record<string, string> =>
  Object.fromEntries((instance?.Tags ?? []).map(({ Key, Value }) => [Key!, Value!]));
export const ids = (instances: readonly Instance[]): readonly string[] =>
  instances.map(({ InstanceId }) => InstanceId!).sort();

/** A client with the credentials that the instance finds in its metadata. */
export async function asNode(rig: Rig, imdsEndpoint: string): Promise<EC2Client> {
  const put = { method: 'PUT', headers: { 'x-aws-ec2-metadata-token-ttl-seconds': '60' } };
  const token = await (await fetch(`${imdsEndpoint}/latest/api/token`, put)).text();
  const answer = await fetch(`${imdsEndpoint}/latest/meta-data/iam/security-credentials/synkti-node`, {
    headers: { 'x-aws-ec2-metadata-token': token },
  });
  const given = (await answer.json()) as Record<string, string>;
  const credentials = {
    accessKeyId: given['AccessKeyId']!,
    secretAccessKey: given['SecretAccessKey']!,
    sessionToken: given['Token']!,
  };
  return new EC2Client({ ...rig.sdk, credentials });
}
