/**
 * Reads texts from the Parameter Store of SSM. The role needs ssm:GetParameter, and kms:Decrypt for a SecureString. It is
 * asked once a minute at most, by nodes that have a list there: the SDK is loaded by the first of these questions, and a
 * client lives for one.
 */
import { Failure, type FailureKind } from '../std/failure.ts';
import type { RoleCredentials } from './credentials.ts';
import { refusalIn, unanswered } from './sdk-failure.ts';

type ParametersOptions = {
  readonly credentials: () => Promise<Pick<RoleCredentials, 'accessKeyId' | 'secretAccessKey'>>;
  /** null: that of AWS in the region. */
  readonly endpoint: string | null;
  readonly region: string;
};

/** Failure `missing` when there is none of that name. */
export type ReadParameter = (name: string, signal: AbortSignal) => Promise<string>;

export function parametersIn({ credentials, endpoint, region }: ParametersOptions): ReadParameter {
  return async (name, signal) => {
    const { GetParameterCommand, SSMClient } = await import('@aws-sdk/client-ssm');
    const client = new SSMClient({ region, credentials, ...(endpoint === null ? {} : { endpoint }) });
    try {
      const command = new GetParameterCommand({ Name: name, WithDecryption: true });
      const { Parameter } = await client.send(command, { abortSignal: signal });
      return Parameter?.Value ?? '';
    } catch (error) {
      throw parameterFailure(name, error, signal);
    } finally {
      client.destroy();
    }
  };
}

function parameterFailure(name: string, error: unknown, signal: AbortSignal): Failure {
  const trail = `read parameter ${name}`;
  const failure = unanswered(trail, error, signal);
  if (failure !== null) return failure;
  const { name: code, status } = refusalIn(error);
  const kind = kindOf(code, status);
  return new Failure(kind, `${trail}: ${kind}: ${code}`, error);
}

/** Codes as in the SSM API reference, "Common Error Types". Without a status there was no answer. */
function kindOf(code: string, status: number | undefined): FailureKind {
  if (code === 'ParameterNotFound') return 'missing';
  if (/Throttl|^ServiceUnavailable|^TooManyRequests|^RequestLimit/.test(code)) return 'busy';
  if (code === 'CredentialsProviderError' || /AccessDenied|Unrecognized|ExpiredToken/.test(code))
    return 'denied';
  return status === undefined || status >= 500 ? 'unreachable' : 'invalid';
}
