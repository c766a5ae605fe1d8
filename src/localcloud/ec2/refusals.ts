/** The words in which EC2 refuses (EC2 API Reference, "Error codes"). */
import { AwsError } from '../wire/aws-error.ts';

export const invalidValue = (message: string): AwsError =>
  new AwsError(400, 'InvalidParameterValue', message);

export const invalidCombination = (message: string): AwsError =>
  new AwsError(400, 'InvalidParameterCombination', message);

export const missingParameter = (name: string): AwsError =>
  new AwsError(400, 'MissingParameter', `The request must contain the parameter ${name}`);

export const unauthorized = (): AwsError =>
  new AwsError(403, 'UnauthorizedOperation', 'You are not authorized to perform this operation.');

export const throttled = (): AwsError => new AwsError(503, 'RequestLimitExceeded', 'Request limit exceeded.');

export const dryRun = (): AwsError =>
  new AwsError(412, 'DryRunOperation', 'Request would have succeeded, but DryRun flag is set.');

export const noCapacity = (zone: string | null): AwsError =>
  new AwsError(
    500,
    'InsufficientInstanceCapacity',
    `There is no Spot capacity available that matches your request${zone === null ? '' : ` in ${zone}`}.`,
  );

/** What a whole call gets when it touches a zone that is down. */
export const zoneDown = (): AwsError => new AwsError(500, 'InternalError', 'An internal error has occurred');

export function unknownInstances(ids: readonly string[]): AwsError {
  const [s, do_] = ids.length === 1 ? ['', 'does'] : ['s', 'do'];
  return new AwsError(
    400,
    'InvalidInstanceID.NotFound',
    `The instance ID${s} '${ids.join(', ')}' ${do_} not exist`,
  );
}

export const malformedInstance = (id: string): AwsError =>
  new AwsError(400, 'InvalidInstanceID.Malformed', `Invalid id: "${id}"`);
