import { Failure, type FailureKind } from '../std/failure.ts';
import { refusalIn, unanswered } from './sdk-failure.ts';

/** Error codes of the EC2 API (AWS: "Error codes for the Amazon EC2 API"), as the SDK shows them in `name`. */
const kindByName: readonly (readonly [RegExp, FailureKind])[] = [
  [/^InvalidInstanceID\.NotFound$/, 'missing'],
  [/Throttl|^RequestLimitExceeded$|^TooManyRequests|^SlowDown$|^ServiceUnavailable$|^Unavailable$/, 'busy'],
  [
    /^UnauthorizedOperation$|^AuthFailure$|^Expired|^RequestExpired$|AccessDenied|^InvalidClientTokenId$|^SignatureDoesNotMatch$|^OptInRequired$|^CredentialsProviderError$/,
    'denied',
  ],
];

/** What a call to EC2 ended in; the SDK has retried what it may by then. `signal` is the caller's. */
export function ec2Failure(trail: string, error: unknown, signal: AbortSignal): Failure {
  const failure = unanswered(trail, error, signal);
  if (failure !== null) return failure;
  const { name, message, status } = refusalIn(error);
  const named = kindByName.find(([pattern]) => pattern.test(name))?.[1];
  const kind = named ?? (status === undefined || status >= 500 ? 'unreachable' : 'invalid');
  return new Failure(kind, `${trail}: ${kind}: ${named === undefined ? `${name}: ${message}` : name}`, error);
}
