/** The environment of one instance's processes: the person's own, with the real AWS and other settings kept out. */
import type { Launch } from '../../localcloud/instances/hosts.ts';
import type { Mark } from '../../os/proc.ts';
import type { Io } from '../io.ts';

const instanceVariable = (id: string) => ({ SYNKTI_INSTANCE_ID: id });
const clusterVariable = (dir: string) => ({ SYNKTI_DEV_DIR: dir });

/** What marks every process of an instance for as long as it lives. `dir` is a real path. */
export const instanceMark = (
  dir: string,
  { node, id }: { readonly node: number; readonly id: string },
): Mark => ({
  environment: instanceVariable(id),
  output: `${dir}/node-${node}/`,
});

export const clusterMark = (dir: string): Mark => ({
  environment: clusterVariable(dir),
  output: `${dir}/node-`,
});

/**
 * Credentials come from the instance's own metadata service, as on EC2: the files of the real account are pointed
 * away from, so that no call of a development cluster can ever reach it.
 */
export function instanceEnvironment(
  own: Io['env'],
  instance: Launch,
  dir: string,
): Readonly<Record<string, string>> {
  const kept = Object.entries(own).filter(([name]) => !/^(AWS_|SYNKTI_|npm_)/.test(name));
  return {
    ...(Object.fromEntries(kept.filter(([, value]) => value !== undefined)) as Record<string, string>),
    AWS_REGION: instance.region,
    AWS_ENDPOINT_URL: instance.awsEndpoint,
    AWS_EC2_METADATA_SERVICE_ENDPOINT: instance.imdsEndpoint,
    AWS_EC2_METADATA_V1_DISABLED: 'true',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    AWS_CONFIG_FILE: '/dev/null',
    ...instanceVariable(instance.id),
    ...clusterVariable(dir),
  };
}
