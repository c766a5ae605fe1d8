/**
 * The contract: calls with the unmodified SDK clients, and what AWS documents as their results. The same list is
 * played to the local cloud and to moto, so neither can be the only judge of the other.
 */
import type { AutoScalingClient } from '@aws-sdk/client-auto-scaling';
import type { EC2Client } from '@aws-sdk/client-ec2';
import type { S3Client } from '@aws-sdk/client-s3';
import type { SSMClient } from '@aws-sdk/client-ssm';
import type { STSClient } from '@aws-sdk/client-sts';

export type Clients = {
  readonly autoscaling: AutoScalingClient;
  readonly ec2: EC2Client;
  readonly s3: S3Client;
  readonly ssm: SSMClient;
  readonly sts: STSClient;
  /** Signs with a key that exists and a secret that is not its own. */
  readonly forger: S3Client;
};

export type Exchange = {
  readonly title: string;
  /** Returns what AWS promises of the answers: no ids, times or texts. `name` is unique to this exchange. */
  act(clients: Clients, name: string): Promise<unknown>;
  readonly expected: unknown;
};

/** What a call came to: what `pick` takes of its answer, or the code and status of its refusal. */
export async function outcome<T>(call: Promise<T>, pick: (answer: T) => unknown): Promise<unknown> {
  let answer: T;
  try {
    answer = await call;
  } catch (error) {
    if (!(error instanceof Error && '$metadata' in error)) throw error;
    const { httpStatusCode } = error.$metadata as { readonly httpStatusCode?: number };
    if (httpStatusCode === undefined) throw error; // no answer at all is no refusal
    return { refused: error.name, status: httpStatusCode };
  }
  return pick(answer);
}

export const status = (answer: { readonly $metadata: { readonly httpStatusCode?: number } }): unknown =>
  answer.$metadata.httpStatusCode;
