/** What each family of APIs answers to a call whose signature does not hold. */
import { AwsError } from './aws-error.ts';
import type { Dialect } from './call.ts';
import type { AuthProblem } from './sigv4.ts';

type Wording = readonly [status: number, code: string];

const messages: Readonly<Record<AuthProblem, string>> = {
  missing: 'Request is missing Authentication Token',
  malformed: 'The authorization header is malformed, or the request lacks a signed host and X-Amz-Date.',
  'unknown-key': 'The AWS access key ID you provided does not exist in our records.',
  'wrong-token': 'The provided security token does not belong to this access key.',
  'expired-token': 'The provided token has expired.',
  skewed: 'The difference between the request time and the current time is too large.',
  'wrong-signature':
    'The request signature we calculated does not match the signature you provided. Check your key and signing method.',
};

const wordings: Readonly<Record<Dialect, Readonly<Record<AuthProblem, Wording>>>> = {
  'rest-xml': {
    missing: [403, 'AccessDenied'],
    malformed: [400, 'AuthorizationHeaderMalformed'],
    'unknown-key': [403, 'InvalidAccessKeyId'],
    'wrong-token': [400, 'InvalidToken'],
    'expired-token': [400, 'ExpiredToken'],
    skewed: [403, 'RequestTimeTooSkewed'],
    'wrong-signature': [403, 'SignatureDoesNotMatch'],
  },
  // EC2 does not tell an unknown key from a wrong secret.
  ec2: {
    missing: [401, 'AuthFailure'],
    malformed: [400, 'IncompleteSignature'],
    'unknown-key': [401, 'AuthFailure'],
    'wrong-token': [401, 'AuthFailure'],
    'expired-token': [400, 'RequestExpired'],
    skewed: [400, 'RequestExpired'],
    'wrong-signature': [401, 'AuthFailure'],
  },
  query: {
    missing: [403, 'MissingAuthenticationToken'],
    malformed: [403, 'IncompleteSignature'],
    'unknown-key': [403, 'InvalidClientTokenId'],
    'wrong-token': [403, 'InvalidClientTokenId'],
    'expired-token': [403, 'ExpiredToken'],
    skewed: [403, 'SignatureDoesNotMatch'],
    'wrong-signature': [403, 'SignatureDoesNotMatch'],
  },
  json: {
    missing: [400, 'MissingAuthenticationTokenException'],
    malformed: [400, 'IncompleteSignatureException'],
    'unknown-key': [400, 'UnrecognizedClientException'],
    'wrong-token': [400, 'UnrecognizedClientException'],
    'expired-token': [400, 'ExpiredTokenException'],
    skewed: [400, 'InvalidSignatureException'],
    'wrong-signature': [400, 'InvalidSignatureException'],
  },
};

export function authError(problem: AuthProblem, dialect: Dialect): AwsError {
  const [status, code] = wordings[dialect][problem];
  return new AwsError(status, code, messages[problem]);
}

/** The code under which each family of APIs hides an injected fault of this status. */
export function faultError(status: number, dialect: Dialect): AwsError {
  const message = 'An injected fault.';
  if (status === 401 || status === 403) {
    const denied = {
      'rest-xml': 'AccessDenied',
      ec2: 'AuthFailure',
      query: 'AccessDenied',
      json: 'AccessDeniedException',
    };
    return new AwsError(status, denied[dialect], message);
  }
  if (status === 409 && dialect === 'rest-xml')
    return new AwsError(status, 'ConditionalRequestConflict', message);
  if (status === 429)
    return new AwsError(status, dialect === 'json' ? 'ThrottlingException' : 'Throttling', message);
  if (status === 503) {
    const busy = {
      'rest-xml': 'SlowDown',
      ec2: 'Unavailable',
      query: 'ServiceUnavailable',
      json: 'ServiceUnavailable',
    };
    return new AwsError(status, busy[dialect], message);
  }
  if (status >= 500)
    return new AwsError(status, dialect === 'json' ? 'InternalServerError' : 'InternalError', message);
  return new AwsError(status, dialect === 'json' ? 'ValidationException' : 'InvalidRequest', message);
}
