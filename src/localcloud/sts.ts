/** STS as far as a node uses it: who am I? */
import type { Api, Caller } from './wire/call.ts';
import { queryApi } from './wire/query-api.ts';

type StsOptions = {
  /** Twelve digits. */
  readonly account: string;
  /** The name of the IAM role in the instance's profile. */
  roleOf(instanceId: string): string;
};

export function openSts(options: StsOptions): Api {
  return queryApi({
    name: 'sts',
    dialect: 'query',
    namespace: 'https://sts.amazonaws.com/doc/2011-06-15/',
    operations: { GetCallerIdentity: (_fields, call) => identity(call.caller, options) },
  });
}

/** An instance's session is named after the instance, which is how a policy can tell one node from another. */
function identity(
  { instanceId, accessKeyId }: Caller,
  { account, roleOf }: StsOptions,
): Record<string, string> {
  if (instanceId === null)
    return { UserId: accessKeyId, Account: account, Arn: `arn:aws:iam::${account}:user/operator` };
  const role = roleOf(instanceId);
  const Arn = `arn:aws:sts::${account}:assumed-role/${role}/${instanceId}`;
  return { UserId: `AROALOCALCLOUDROLE00:${instanceId}`, Account: account, Arn };
}
